"""How far the values of a column lie from those of a reference, and how far a single day usually lies.

The distances are Evidently's own (methods `jensenshannon` and `wasserstein`), computed here on plain arrays so that
the training's own days can be measured in a second: one day has one weather, so it always differs from the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from include.mlops.learner.predict import Predictor
from include.mlops.learner.profile import draw, with_predictions

ENOUGH = 300
"""Rows from which like is compared with like, and from which chance alone hardly moves a distance."""
_DRAWS = 20


def comparable(rows: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    """`columns` as what distances are made for: numbers as double, booleans as texts, nulls as missing."""

    def plain(values: pa.ChunkedArray) -> pd.Series:
        kind = values.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return pc.cast(values, pa.float64(), safe=False).to_pandas()
        return pc.cast(values, pa.string()).to_pandas().astype(object)

    return pd.DataFrame({column: plain(rows[column]) for column in columns})


def is_text(column: pd.Series) -> bool:
    return bool(column.dtype == object)


def distance(reference: pd.Series, current: pd.Series) -> float:
    """Jensen-Shannon (natural logarithm) for texts, Wasserstein over the reference's deviation for numbers.

    Of the values that are there; where one side has none at all the distance is 1.
    """
    left, right = reference.dropna(), current.dropna()
    if left.empty or right.empty:
        return 0.0 if left.empty and right.empty else 1.0
    if not is_text(reference):
        return float(wasserstein_distance(left, right)) / max(float(np.std(left.to_numpy(float))), 0.001)
    values = sorted(set(left) | set(right))
    shares = [side.value_counts(normalize=True).reindex(values, fill_value=0.0) for side in (left, right)]
    return float(jensenshannon(*shares))


def gap(reference: pd.Series, current: pd.Series) -> float:
    """How far the shares of missing values lie apart, from 0 to 1."""
    return abs(float(reference.isna().mean()) - float(current.isna().mean()))


def alike(reference: pa.Table, ds: date) -> pa.Table:
    """The reference's rows of the same weekday, or all where those are few."""
    same = reference.filter(pc.equal(pc.day_of_week(reference["ds"]), ds.weekday()))
    return same if same.num_rows >= ENOUGH else reference


def by_chance(reference: pd.DataFrame, rows: int) -> dict[str, float]:
    """{column: distance} that as few as `rows` rows of the reference itself hardly exceed."""
    random = np.random.default_rng(7)
    draws = [reference.iloc[random.integers(0, len(reference), rows)] for _ in range(_DRAWS)]
    return {c: max(_away(reference[c], drawn[c]) for drawn in draws) for c in reference.columns}


def usual_distances(
    rows: pa.Table, reference: pa.Table, predictor: Predictor, keys: Sequence[str], size: int
) -> dict[str, float]:
    """{column: distance} of the furthest day of the training `rows` (column ds), the predictions included.

    Of each day the rows that monitoring will look at, too: at most `size` by the hash of `keys`. Not of some quantile
    of the days: a night looks at many columns, and one of them always has its twentieth day.
    """
    columns = [*predictor.columns, *predictor.watched]
    found: dict[str, list[float]] = {column: [] for column in columns}
    for ds in pc.unique(rows["ds"]).to_pylist():
        sample = draw(rows.filter(pc.equal(rows["ds"], pa.scalar(ds))), keys, size)
        day = comparable(with_predictions(sample, predictor), columns)
        like = comparable(alike(reference, ds), columns)
        for column in columns:
            found[column].append(_away(like[column], day[column]))
    return {column: max(values, default=0.0) for column, values in found.items()}


def _away(reference: pd.Series, current: pd.Series) -> float:
    return max(distance(reference, current), gap(reference, current))

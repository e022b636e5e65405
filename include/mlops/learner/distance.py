"""How far the values of a column lie from those of a reference, and how far a single day usually lies.

The distances are Evidently's own (methods `jensenshannon` and `wasserstein`), computed here on plain arrays so that
the training's own days can be measured in a second: one day has one weather, so it always differs from the whole.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from include.mlops.learner.predict import Predictor
from include.mlops.learner.tasks import SCORE

ENOUGH = 300
"""Reference rows of the same weekday from which like is compared with like."""
USUAL = 0.95
"""The quantile of the training days' distances that still counts as usual."""


def is_text(column: pd.Series) -> bool:
    return bool(column.dtype == object)


def distance(reference: pd.Series, current: pd.Series) -> float:
    """Jensen-Shannon (natural logarithm) for texts, Wasserstein over the reference's deviation for numbers.

    Where one side has values and the other has none the distance is 1.
    """
    left, right = reference.dropna(), current.dropna()
    if left.empty or right.empty:
        return 0.0 if left.empty and right.empty else 1.0
    if not is_text(reference):
        return float(wasserstein_distance(left, right)) / max(float(np.std(left.to_numpy(float))), 0.001)
    values = sorted(set(left) | set(right))
    shares = [side.value_counts(normalize=True).reindex(values, fill_value=0.0) for side in (left, right)]
    return float(jensenshannon(*shares))


def alike(reference: pd.DataFrame, ds: date) -> pd.DataFrame:
    """The reference's rows of the same weekday, or all where those are few."""
    same = reference[[day.weekday() == ds.weekday() for day in reference["ds"]]]
    return same if len(same) >= ENOUGH else reference


def usual_distances(rows: pa.Table, reference: pa.Table, predictor: Predictor) -> dict[str, float]:
    """{column: distance} that a day of the training `rows` (column ds) stays below 95 times of 100, the score included."""
    columns = [*predictor.columns, SCORE]
    days = rows.append_column(SCORE, pa.array(predictor.predict(rows))).select([*columns, "ds"]).to_pandas()
    whole = reference.to_pandas()
    found: dict[str, list[float]] = {column: [] for column in columns}
    for ds, day in days.groupby("ds"):
        like = alike(whole, ds)
        for column in columns:
            found[column].append(distance(like[column], day[column]))
    return {column: float(np.quantile(values, USUAL)) if values else 0.0 for column, values in found.items()}

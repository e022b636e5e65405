"""Distances of columns: Evidently's own values, missing values, and what days usually show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.mlops.learner.distance import alike, by_chance, comparable, distance, gap, is_text, usual_distances
from include.mlops.learner.predict import Predictor
from include.mlops.learner.profile import draw

RANDOM = np.random.default_rng(11)
MONDAY = date(2013, 4, 1)


def _texts(letters: str, rows: int = 400) -> pd.Series:
    return pd.Series(RANDOM.choice(list(letters), rows), dtype=object)


def _numbers(mean: float, rows: int = 400) -> pd.Series:
    return pd.Series(RANDOM.normal(mean, 2.0, rows))


def _with_gaps(column: pd.Series) -> pd.Series:
    return column.where(pd.Series(np.arange(len(column)) % 4 > 0), None if is_text(column) else np.nan)


def _evidently(reference: pd.Series, current: pd.Series) -> float:
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    text = is_text(reference)
    definition = DataDefinition(**{"categorical_columns" if text else "numerical_columns": ["x"]})
    metric = ValueDrift(column="x", method="jensenshannon" if text else "wasserstein")
    frames = [
        Dataset.from_pandas(pd.DataFrame({"x": side}), data_definition=definition) for side in (current, reference)
    ]
    return float(Report([metric]).run(*frames).dict()["metrics"][0]["value"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (_texts("abcdef"), _texts("abcdef")),
        (_texts("abc"), _texts("bcd", 150)),
        (_texts("abc"), _texts("xyz")),
        (_texts("a"), _texts("a", 5)),
        (_with_gaps(_texts("abc")), _with_gaps(_texts("ab"))),
        (_numbers(0.0), _numbers(0.0)),
        (_numbers(0.0), _numbers(3.0, 150)),
        (_numbers(0.0), _numbers(1.0, 5)),
        (_with_gaps(_numbers(0.0)), _with_gaps(_numbers(1.0))),
        (pd.Series([7.0] * 50), pd.Series([7.0] * 20)),
        (pd.Series([7.0] * 50), pd.Series([7.5] * 20)),
        (pd.Series([0.0, 1.0] * 30), pd.Series([1.0] * 20)),
    ],
)
def test_a_distance_is_the_one_that_evidently_reports(reference: pd.Series, current: pd.Series) -> None:
    assert distance(reference, current) == pytest.approx(_evidently(reference, current), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("column", [_texts("abc"), _numbers(0.0)])
def test_a_column_without_values_is_far_from_one_with_values(column: pd.Series) -> None:
    nothing = pd.Series([None] * 10, dtype=column.dtype)
    assert distance(column, nothing) == 1.0
    assert distance(nothing, column) == 1.0
    assert distance(nothing, nothing) == 0.0


def test_missing_values_leave_a_distance_alone_and_are_a_gap_of_their_own() -> None:
    column = pd.Series([1.0, 2.0, 3.0, 4.0])
    with_nulls = pd.Series([1.0, np.nan, 2.0, np.nan, 3.0, np.nan, 4.0, np.nan])
    assert distance(column, with_nulls) == 0.0
    assert gap(column, with_nulls) == 0.5
    assert gap(with_nulls, column) == 0.5
    assert gap(column, pd.Series([np.nan])) == 1.0


@given(st.lists(st.sampled_from("abc"), min_size=1), st.lists(st.sampled_from("abcd"), min_size=1))
def test_texts_lie_between_nothing_and_the_root_of_log_two_apart(left: list[str], right: list[str]) -> None:
    found = distance(pd.Series(left, dtype=object), pd.Series(right, dtype=object))
    assert -1e-9 <= found <= np.sqrt(np.log(2)) + 1e-9
    assert distance(pd.Series(left, dtype=object), pd.Series(left, dtype=object)) == pytest.approx(0, abs=1e-7)


def test_columns_become_doubles_or_texts_whatever_their_type() -> None:
    table = pa.table(
        {
            "whole": pa.array([1, None, 3], pa.int32()),
            "flag": pa.array([True, None, False]),
            "code": pa.array(["a", None, "b"]),
            "empty": pa.array([None, None, None], pa.int64()),
            "ds": [MONDAY] * 3,
        }
    )
    frame = comparable(table, ["flag", "whole", "code", "empty"])
    assert list(frame.columns) == ["flag", "whole", "code", "empty"]
    assert [is_text(frame[c]) for c in frame.columns] == [True, False, True, False]
    assert frame["flag"].tolist() == ["true", None, "false"]
    assert frame["whole"].isna().tolist() == [False, True, False]


def test_like_is_compared_with_like_where_there_is_enough_of_it() -> None:
    days = [MONDAY + timedelta(days=number % 7) for number in range(7 * 300)]
    reference = pa.table({"ds": days, "x": range(len(days))})
    assert set(alike(reference, MONDAY + timedelta(days=9))["ds"].to_pylist()) == {MONDAY + timedelta(days=2)}
    assert alike(reference.slice(0, 2099), MONDAY + timedelta(days=6)).num_rows == 2099  # one of them is missing
    assert alike(reference.slice(0, 2099), MONDAY).num_rows == 300


def test_few_rows_lie_far_away_by_chance_alone() -> None:
    reference = pd.DataFrame({"code": _texts("abcdefgh", 1000), "x": _numbers(0.0, 1000)})
    five, many = by_chance(reference, 5), by_chance(reference, 1000)
    assert five["code"] > 3 * many["code"]
    assert five["x"] > 3 * many["x"]
    assert by_chance(reference, 5) == five


@dataclass(frozen=True)
class _Halves:
    """Says 0.5 of everything: a model is not what is tested here."""

    columns: tuple[str, ...] = ("steady", "daily")
    watched: tuple[str, ...] = ("score",)

    def outputs(self, rows: pa.Table) -> dict[str, pa.Array]:
        return {"score": pa.array(np.full(rows.num_rows, 0.5))}


def test_what_is_usual_is_the_furthest_of_the_training_days() -> None:
    """`steady` looks the same each day, `daily` holds the day's own number, and every tenth day lacks it."""
    tables = []
    for number in range(20):
        x = pa.array([float(number)] * 50 if number % 10 else [None] * 50, pa.float64())
        ds = [MONDAY + timedelta(days=number)] * 50
        trips = list(range(50))
        tables.append(pa.table({"trip": trips, "steady": ["a", "b"] * 25, "daily": x, "score": [0.5] * 50, "ds": ds}))
    rows = pa.concat_tables(tables)
    usual = usual_distances(rows.drop_columns(["score"]), rows, cast("Predictor", _Halves()), ["trip"], 50)
    assert usual["steady"] == pytest.approx(0, abs=1e-7)
    assert usual["score"] == 0.0
    values = rows["daily"].drop_null().to_numpy()
    assert usual["daily"] == pytest.approx(np.abs(values - 19.0).mean() / values.std())  # the last day is the furthest


def test_a_day_that_lacked_a_column_is_a_usual_day_too() -> None:
    days = [MONDAY, MONDAY + timedelta(days=1)]
    daily, ds = [1.0, 1.0, None, None], [days[0]] * 2 + [days[1]] * 2
    rows = pa.table({"trip": [1, 2, 1, 2], "steady": ["a"] * 4, "daily": daily, "ds": ds})
    reference = rows.append_column("score", pa.array([0.5] * 4))
    assert usual_distances(rows, reference, cast("Predictor", _Halves()), ["trip"], 5)["daily"] == 1.0


def test_of_a_large_day_the_rows_are_looked_at_that_monitoring_draws() -> None:
    rows = pa.table(
        {
            "trip": np.arange(2000),
            "steady": ["a"] * 2000,
            "daily": RANDOM.normal(size=2000),
            "ds": [MONDAY] * 2000,
            "score": [0.5] * 2000,
        }
    )
    usual = usual_distances(rows.drop_columns(["score"]), rows, cast("Predictor", _Halves()), ["trip"], 100)
    of_sample = draw(rows, ["trip"], 100)["daily"].to_pandas()
    assert usual["daily"] == distance(rows["daily"].to_pandas(), of_sample) > 0

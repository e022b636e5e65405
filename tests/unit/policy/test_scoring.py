"""The gate on a partition's predictions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.mlops.policy.scoring import ScoreSummary, refusals

GOOD = ScoreSummary(rows=100, nulls=0, distinct=80, minimum=0.1, maximum=0.9, mean=0.5)


def test_good_predictions_are_not_refused() -> None:
    assert refusals(GOOD, 100, 0.0, 1.0, 2) == []


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(GOOD, rows=99), "expected 100 rows as published in the features, found 99"),
        (replace(GOOD, rows=101), "expected 100 rows as published in the features, found 101"),
        (replace(GOOD, nulls=3), "expected no missing scores, found 3 of 100"),
        (replace(GOOD, minimum=-0.25), "expected scores from 0 up, found -0.25"),
        (replace(GOOD, maximum=1.5), "expected scores up to 1, found 1.5"),
        (replace(GOOD, distinct=1), "expected at least 2 different scores, found 1"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_expected_and_found(found: ScoreSummary, reason: str) -> None:
    assert refusals(found, 100, 0.0, 1.0, 2) == [reason]


def test_every_reason_is_listed() -> None:
    found = ScoreSummary(rows=9, nulls=9, distinct=0, minimum=None, maximum=None, mean=None)
    assert len(refusals(found, 10, 0.0, 1.0, 2)) == 3


def test_bounds_are_open_unless_the_specification_sets_them_and_may_be_touched() -> None:
    assert refusals(replace(GOOD, minimum=-1e9, maximum=1e9), 100, None, None, 2) == []
    assert refusals(replace(GOOD, minimum=0.0, maximum=1.0), 100, 0.0, 1.0, 2) == []


def test_an_infinite_score_is_refused_without_any_bound() -> None:
    assert "expected finite scores" in refusals(replace(GOOD, maximum=float("inf")), 100, None, None, 2)[0]


def test_a_day_without_rows_is_published_where_its_features_had_none() -> None:
    empty = ScoreSummary(rows=0, nulls=0, distinct=0, minimum=None, maximum=None, mean=None)
    assert refusals(empty, 0, 0.0, 1.0, 2) == []
    assert refusals(empty, 5, 0.0, 1.0, 2)


@given(st.integers(0, 5), st.integers(1, 5))
def test_fewer_rows_than_different_scores_are_asked_for_are_not_constant(rows: int, min_distinct: int) -> None:
    found = ScoreSummary(rows, 0, min(rows, 1), *[0.5 if rows else None] * 3)
    assert bool(refusals(found, rows, 0.0, 1.0, min_distinct)) == (rows >= min_distinct > 1)

"""The release gate, as a table of cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from include.mlops.policy.release import Bound, Comparison, first_live_day, judge, out_of_date

AUC = Bound("roc_auc", 0.68, minimum=0.6)
ERROR = Bound("mae", 12.0, maximum=15.0)
BETTER = Comparison(champion=3, value=0.66, difference=0.02, low=0.01, high=0.03, confidence=0.9, rows=6000, seen=0)
LOWER_ERROR = Comparison(
    champion=3, value=13.0, difference=-1.0, low=-1.4, high=-0.6, confidence=0.9, rows=6000, seen=0
)


@pytest.mark.parametrize(
    ("bound", "comparison", "beat_by", "promoted", "says"),
    [
        (AUC, None, 0.0, True, "no champion to beat"),
        (replace(AUC, value=0.6), None, 0.0, True, "0.6000"),
        (replace(AUC, value=0.5999), None, 0.0, False, "expected roc_auc of at least 0.6 on the holdout, found 0.5999"),
        (replace(AUC, value=float("nan")), None, 0.0, False, "found nan"),
        (replace(AUC, value=0.5), BETTER, 0.0, False, "at least 0.6"),
        (AUC, BETTER, 0.0, True, "better by +0.0200, and with 90% confidence by more than +0.0100"),
        (AUC, BETTER, 0.01, False, "expected more than 0.01"),
        (AUC, replace(BETTER, low=-0.001), 0.0, False, "0.6600 of champion v3 on the same 6000 rows"),
        (AUC, replace(BETTER, low=-0.001), -0.005, True, "beyond the -0.005 that was asked"),
        (AUC, replace(BETTER, low=0.0), 0.0, False, "expected more than 0"),
        (AUC, replace(BETTER, low=float("nan")), 0.0, False, "nan"),
        (AUC, replace(BETTER, seen=500), 0.0, True, "500 of the rows lie in days that the champion was trained on"),
        (ERROR, LOWER_ERROR, 0.0, True, "better by +1.0000, and with 90% confidence by more than +0.6000"),
        (ERROR, LOWER_ERROR, 0.7, False, "expected more than 0.7"),
        (ERROR, replace(LOWER_ERROR, high=0.1), 0.0, False, "more than -0.1000"),
        (replace(ERROR, value=15.1), None, 0.0, False, "expected mae of at most 15 on the holdout, found 15.1"),
        (replace(ERROR, value=15.0), None, 0.0, True, "at most 15"),
    ],
)
def test_a_challenger_goes_live_where_its_bound_is_reached_and_the_champion_surely_beaten(
    bound: Bound, comparison: Comparison | None, beat_by: float, promoted: bool, says: str
) -> None:
    verdict = judge(bound, comparison, beat_by)
    assert verdict.promote is promoted
    assert says in verdict.reason


def test_a_champion_whose_features_are_gone_cannot_hold_the_place() -> None:
    verdict = judge(AUC, None, 0.0, champion_lost="features.flights_v1")
    assert verdict.promote
    assert "features.flights_v1, which has no rows" in verdict.reason


def test_a_challenger_with_older_data_than_the_champion_is_refused() -> None:
    older = out_of_date(date(2013, 4, 1), 3, date(2013, 4, 8))
    assert older is not None
    assert not older.promote
    assert out_of_date(date(2013, 4, 8), 3, date(2013, 4, 8)) is None
    assert out_of_date(date(2013, 4, 9), 3, date(2013, 4, 8)) is None


@pytest.mark.parametrize(
    ("newest_scored", "live_since", "first"),
    [
        (None, None, date(2013, 4, 6)),
        (date(2013, 4, 3), None, date(2013, 4, 6)),
        (date(2013, 4, 5), date(2013, 3, 1), date(2013, 4, 6)),
        (date(2013, 4, 9), date(2013, 3, 1), date(2013, 4, 10)),
        (None, date(2013, 4, 20), date(2013, 4, 20)),
    ],
)
def test_a_version_is_live_from_the_first_partition_after_its_data_and_after_all_that_is_scored(
    newest_scored: date | None, live_since: date | None, first: date
) -> None:
    assert first_live_day(date(2013, 4, 5), newest_scored, live_since) == first

"""A night's drift by effect size and weight, and what persistence makes of nights."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.mlops.policy.drift import ColumnDrift, Confirmation, confirm, judge_night

FIRST = date(2013, 4, 1)


def _nights(marks: str) -> list[tuple[date, bool]]:
    """`x` is a bad night, `.` a good one, a space a day that was not judged."""
    return [(FIRST + timedelta(days=number), mark == "x") for number, mark in enumerate(marks) if mark != " "]


def _night(number: int) -> date:
    return FIRST + timedelta(days=number)


@pytest.mark.parametrize(
    ("distance", "usual", "drifted"),
    [
        (0.11, 0.0, True),
        (0.10, 0.0, False),  # the threshold itself is no drift
        (0.50, 0.6, False),  # such days were in the training window as well
        (0.61, 0.6, True),
        (0.05, 0.01, False),  # unusual, and yet too small to matter
    ],
)
def test_a_column_drifts_beyond_both_the_threshold_and_what_is_usual(
    distance: float, usual: float, *, drifted: bool
) -> None:
    night = judge_night({"carrier": ColumnDrift(distance, usual, 0.5)}, threshold=0.1, share=0.1)
    assert night.bad is drifted
    assert night.drifted == (("carrier",) if drifted else ())


def test_a_lost_column_drifts_however_far_days_usually_lie_apart() -> None:
    night = judge_night({"wind": ColumnDrift(1.0, 1.6, 0.4, lost=True)}, threshold=0.1, share=0.1)
    assert night.bad


def test_a_night_is_bad_by_the_weight_of_its_drifted_columns_which_come_heaviest_first() -> None:
    columns = {
        "noise": ColumnDrift(0.9, 0.0, 0.02),
        "origin": ColumnDrift(0.9, 0.0, 0.05),
        "carrier": ColumnDrift(0.9, 0.0, 0.04),
        "steady": ColumnDrift(0.0, 0.0, 0.89),
    }
    assert judge_night(columns, threshold=0.1, share=0.12).bad is False
    night = judge_night(columns, threshold=0.1, share=0.1)
    assert night.bad
    assert night.drifted == ("origin", "carrier", "noise")
    assert night.weight == pytest.approx(0.11)


def test_a_night_without_columns_is_not_bad() -> None:
    assert judge_night({}, threshold=0.1, share=0.1).bad is False


@pytest.mark.parametrize(
    ("marks", "confirmed", "since"),
    [
        ("", False, None),
        (".", False, None),
        ("x", False, 0),
        ("xx", True, 0),
        ("x.x", True, 0),
        ("x..x", False, 3),
        ("xx.", False, 0),  # the newest night is good: not confirmed, and not over either
        ("xx..", False, None),  # over
        ("..xx", True, 2),
        ("xx.xx", True, 0),  # one good night in between does not begin the story anew
        ("xx..xx", True, 4),
        ("x.x.x", True, 0),
        ("xxxxxx", True, 0),
        ("x   x", True, 0),  # days that were not judged are no good nights
        ("xx  .  .", False, None),
    ],
)
def test_two_of_the_last_three_nights_confirm(marks: str, since: int | None, *, confirmed: bool) -> None:
    expected = Confirmation(confirmed, None if since is None else _night(since))
    assert confirm(_nights(marks), persistence=2, windows=3) == expected


@pytest.mark.parametrize(
    ("marks", "persistence", "windows", "confirmed"),
    [("x", 1, 1, True), ("x.", 1, 3, False), ("xx", 3, 3, False), ("xxx", 3, 3, True), ("x..x", 2, 4, True)],
)
def test_persistence_and_windows_are_the_specifications(
    marks: str, persistence: int, windows: int, *, confirmed: bool
) -> None:
    assert confirm(_nights(marks), persistence, windows).confirmed is confirmed


bad_nights = st.lists(st.booleans(), max_size=30).map(
    lambda marks: [(_night(number), bad) for number, bad in enumerate(marks)]
)
rules = st.integers(1, 6).flatmap(lambda windows: st.tuples(st.integers(1, windows), st.just(windows)))


@given(bad_nights, rules)
def test_a_confirmed_shift_began_on_a_bad_night_that_the_window_reaches(
    nights: list[tuple[date, bool]], rule: tuple[int, int]
) -> None:
    persistence, windows = rule
    found = confirm(nights, persistence, windows)
    recent = nights[-windows:]
    assert found.confirmed == bool(recent and recent[-1][1] and sum(bad for _, bad in recent) >= persistence)
    if found.confirmed:
        assert found.since is not None
        assert found.since <= min(ds for ds, bad in recent if bad)
    if found.since is not None:
        assert (found.since, True) in nights


@given(bad_nights, rules)
def test_one_more_bad_night_never_moves_the_beginning_forward(
    nights: list[tuple[date, bool]], rule: tuple[int, int]
) -> None:
    before = confirm(nights, *rule).since
    after = confirm([*nights, (_night(len(nights)), True)], *rule).since
    assert after == (before or _night(len(nights)))


@given(bad_nights, rules)
def test_it_is_over_after_more_good_nights_than_a_confirmed_window_may_hold(
    nights: list[tuple[date, bool]], rule: tuple[int, int]
) -> None:
    persistence, windows = rule
    enough = windows - persistence + 1
    good = [(_night(len(nights) + number), False) for number in range(enough)]
    assert confirm([*nights, *good], persistence, windows).since is None
    began = confirm(nights, persistence, windows)
    if nights and nights[-1][1]:
        assert confirm([*nights, *good[:-1]], persistence, windows).since == began.since

"""When a night asks for a new version."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.mlops.policy.retraining import Answer, Situation, answer

TODAY = date(2013, 4, 20)
RULES: dict[str, Any] = {
    "every": 7,
    "cooldown": 7,
    "attempts": 3,
    "labelled_days": 5,
    "on_drift": True,
    "on_performance": True,
}
QUIET = Situation(
    as_of=TODAY,
    last_trained=TODAY - timedelta(days=3),
    last_automatic=None,
    attempts=0,
    drift_since=None,
    performance_since=None,
    newest_labels=TODAY - timedelta(days=2),
)
SHIFTED = replace(QUIET, drift_since=TODAY - timedelta(days=10))


def _ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def _answer(situation: Situation, **changes: Any) -> Answer:
    return answer(situation, **{**RULES, **changes})


def test_nothing_asks_while_nothing_happened() -> None:
    assert _answer(QUIET) == Answer(None, "nothing asks for it; the last training was 3 day(s) ago")


def test_the_first_version_is_not_trained_by_itself() -> None:
    found = _answer(replace(SHIFTED, last_trained=None))
    assert found.cause is None
    assert "train the first one by hand" in found.reason


def test_drift_goes_before_performance_and_performance_before_the_schedule() -> None:
    both = replace(SHIFTED, performance_since=_ago(9), last_trained=_ago(30))
    assert _answer(both).cause == "drift"
    assert _answer(replace(both, drift_since=None)).cause == "performance"
    assert _answer(replace(both, drift_since=None, performance_since=None)).cause == "schedule"


def test_a_cause_that_is_switched_off_does_not_ask() -> None:
    assert _answer(SHIFTED, on_drift=False).cause is None
    assert _answer(replace(QUIET, performance_since=_ago(10)), on_performance=False).cause is None


@pytest.mark.parametrize(("age", "cause"), [(6, None), (7, "schedule"), (8, "schedule")])
def test_the_schedule_asks_once_the_last_training_is_as_old(age: int, cause: str | None) -> None:
    assert _answer(replace(QUIET, last_trained=_ago(age))).cause == cause


@pytest.mark.parametrize(("since", "cause"), [(5, None), (6, "drift")])
def test_a_shift_waits_until_enough_of_its_days_have_labels(since: int, cause: str | None) -> None:
    found = _answer(replace(QUIET, drift_since=_ago(since)))  # labels reach to two days ago
    assert found.cause == cause
    if cause is None:
        assert found.reason == f"drift since {_ago(5)} waits for labels: 4 of 5 days"


def test_a_shift_newer_than_all_labels_has_none() -> None:
    assert "0 of 5 days" in _answer(replace(QUIET, drift_since=TODAY)).reason
    assert "0 of 5 days" in _answer(replace(SHIFTED, newest_labels=None)).reason


@pytest.mark.parametrize(("ago", "cause"), [(1, None), (6, None), (7, "drift")])
def test_a_shift_waits_for_the_cooldown(ago: int, cause: str | None) -> None:
    found = _answer(replace(SHIFTED, last_automatic=_ago(ago)))
    assert found.cause == cause
    if cause is None:
        assert f"cooldown for {7 - ago} more" in found.reason


def test_attempts_are_capped_within_the_cooldown() -> None:
    assert _answer(replace(SHIFTED, attempts=2)).cause == "drift"
    found = _answer(replace(SHIFTED, attempts=3))
    assert found.cause is None
    assert "tried 3 times within 7 days" in found.reason


def test_what_holds_one_cause_does_not_hold_another() -> None:
    found = _answer(replace(QUIET, drift_since=_ago(1), performance_since=_ago(9)))
    assert found.cause == "performance"


def test_the_schedule_asks_although_a_shift_is_held() -> None:
    assert _answer(replace(SHIFTED, last_automatic=_ago(1), last_trained=_ago(8))).cause == "schedule"


def test_all_that_is_held_is_told() -> None:
    found = _answer(replace(QUIET, drift_since=_ago(1), performance_since=_ago(9), last_automatic=_ago(2)))
    assert found.cause is None
    assert "drift since" in found.reason
    assert "performance since" in found.reason


days_ago = st.none() | st.integers(0, 40).map(_ago)
situations = st.builds(
    Situation,
    as_of=st.just(TODAY),
    last_trained=days_ago,
    last_automatic=days_ago,
    attempts=st.integers(0, 5),
    drift_since=days_ago,
    performance_since=days_ago,
    newest_labels=days_ago,
)


@given(situations)
def test_a_shift_is_asked_for_only_with_its_labels_after_its_cooldown_and_within_its_attempts(found: Situation) -> None:
    cause = _answer(found).cause
    if cause not in ("drift", "performance"):
        return
    since = found.drift_since if cause == "drift" else found.performance_since
    assert since is not None
    assert found.newest_labels is not None
    assert (found.newest_labels - since).days + 1 >= 5
    assert found.attempts < 3
    assert found.last_automatic is None or (TODAY - found.last_automatic).days >= 7


@given(situations, st.integers(1, 20))
def test_more_labels_never_take_a_retraining_back(found: Situation, days: int) -> None:
    more = replace(found, newest_labels=(found.newest_labels or _ago(40)) + timedelta(days=days))
    if _answer(found).cause is not None:
        assert _answer(more).cause is not None


@given(situations)
def test_an_overdue_version_always_asks(found: Situation) -> None:
    if found.last_trained is not None and (TODAY - found.last_trained).days >= 7:
        assert _answer(found).cause is not None

"""What starts the ingestion of a day: the schedule, a file that lands, or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from include.mlops.policy.landing import Landed, left_because

DUE = datetime(2013, 4, 7, 4, tzinfo=UTC)
DEADLINE = DUE + timedelta(hours=6)
DAY = Landed(date(2013, 4, 5), date(2013, 3, 1), scheduled=True, due=DUE, deadline=DEADLINE)
BEFORE, MEANWHILE, AFTER = DUE - timedelta(hours=1), DUE + timedelta(hours=1), DEADLINE + timedelta(minutes=1)


@pytest.mark.parametrize("now", [AFTER, AFTER + timedelta(days=9)])
def test_a_file_that_comes_after_its_days_deadline_starts_it(now: datetime) -> None:
    assert left_because(DAY, now) == ""


@pytest.mark.parametrize("now", [BEFORE, MEANWHILE, AFTER])
def test_a_corrected_file_starts_its_day_at_any_time(now: datetime) -> None:
    assert left_because(replace(DAY, published=True), now) == ""


def test_a_corrected_file_starts_its_day_once_the_scheduled_run_failed_and_waits_no_more() -> None:
    assert left_because(replace(DAY, failed=True), MEANWHILE) == ""


@pytest.mark.parametrize("now", [MEANWHILE, AFTER])
def test_a_day_that_the_schedule_does_not_have_is_started_once_it_is_due(now: datetime) -> None:
    assert left_because(replace(DAY, scheduled=False), now) == ""


@pytest.mark.parametrize(
    ("landed", "now", "reason"),
    [
        (DAY, BEFORE, "the day is due at 2013-04-07 04:00 UTC"),
        (DAY, MEANWHILE, "the scheduled run of the day waits for it"),
        (replace(DAY, scheduled=False), BEFORE, "the day is due at 2013-04-07 04:00 UTC"),
        (replace(DAY, published=True, same=True), AFTER, "the day is published from this very file"),
        (replace(DAY, ds=date(2013, 2, 28)), AFTER, "the group begins on 2013-03-01"),
    ],
)
def test_all_else_starts_nothing(landed: Landed, now: datetime, reason: str) -> None:
    assert left_because(landed, now) == reason

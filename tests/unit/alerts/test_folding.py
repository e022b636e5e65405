from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from include.mlops.policy.alerting import Alert, Incident, Severity, bad_since, fold, next_attempt, recovers

AT = datetime(2013, 4, 11, 2, 0, tzinfo=UTC)


def day(number: int) -> date:
    return date(2013, 4, number)


def alert(ds: int, severity: Severity = "warning", since: int | None = None) -> Alert:
    return Alert("drift", "flight_delay", day(ds), severity, "title", "summary", since=day(since) if since else None)


def incident(first: int, last: int, severity: str = "warning") -> Incident:
    return Incident(1, "drift", "flight_delay", severity, "title", day(first), day(last), 0, "#mlops", None, AT, None)


@pytest.mark.parametrize(
    ("found", "open_incident", "told", "event"),
    [
        (alert(10), None, [], "opened"),
        (alert(10, "info"), None, [], "opened"),
        (alert(11), incident(10, 10), [10], "repeated"),
        (alert(9), incident(10, 10), [10], "repeated"),
        (alert(10), incident(10, 10), [10], None),
        (alert(10, "critical"), incident(10, 10), [10], "escalated"),
        (alert(11, "critical"), incident(10, 10), [10], "escalated"),
        (alert(11, "critical"), incident(10, 10, "critical"), [10], "repeated"),
        (alert(10, "info"), incident(10, 10, "critical"), [10], None),
        (alert(11, "info"), incident(10, 10, "critical"), [10], "repeated"),
    ],
)
def test_what_is_told(found: Alert, open_incident: Incident | None, told: list[int], event: str | None) -> None:
    assert fold(found, open_incident, {day(number) for number in told}) == event


@pytest.mark.parametrize(
    ("found", "open_incident", "since"),
    [
        (alert(10), None, 10),
        (alert(10, since=7), None, 7),
        (alert(10, since=8), incident(6, 9), 6),
        (alert(10), incident(9, 9), 9),
        (alert(5), incident(9, 9), 5),
    ],
)
def test_since_when_it_is_bad(found: Alert, open_incident: Incident | None, since: int) -> None:
    assert bad_since(found, open_incident) == day(since)


@pytest.mark.parametrize(
    ("open_incident", "good", "ends"),
    [(None, 10, False), (incident(9, 10), 9, False), (incident(9, 10), 10, True), (incident(9, 10), 11, True)],
)
def test_what_ends_an_incident(open_incident: Incident | None, good: int, *, ends: bool) -> None:
    assert recovers(open_incident, day(good)) is ends


@pytest.mark.parametrize(
    ("attempts", "retry_after", "seconds"),
    [
        (1, None, 30),
        (2, None, 60),
        (3, None, 120),
        (7, None, 1920),
        (8, None, 3600),
        (1_000_000, None, 3600),
        (1, 7.5, 7.5),
        (9, 30.0, 30),
        (1, 0.0, 1),
        (1, -5.0, 1),
        (1, 1e12, 3600),
    ],
)
def test_when_to_try_again(attempts: int, retry_after: float | None, seconds: float) -> None:
    assert next_attempt(AT, attempts, retry_after) - AT == timedelta(seconds=seconds)

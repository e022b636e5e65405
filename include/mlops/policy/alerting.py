"""Folding alerts into incidents, and when a message that was not delivered is tried again.

An incident is everything wrong with one subject in one way (`drift` of `flight_delay`), from its first bad partition
until it recovers. It has one thread: its first message, then at most one message a partition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

Severity = Literal["critical", "warning", "info"]
Event = Literal["opened", "repeated", "escalated", "recovered", "noted"]
Status = Literal["waiting", "sending", "sent", "refused"]

RANK: dict[str, int] = {"info": 0, "warning": 1, "critical": 2}
FAILED, LATE = "failed", "late"  # the kinds of what a run tells
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class Alert:
    """What broke: `subject` (a model or feature group), in which way (`kind`), at which partition, how bad.

    `summary` is plain text: what was expected, what was found, what to do. `links` maps a label to an absolute URL.
    `channel` and `on_call` are Slack's; without a channel the settings' one is used.
    """

    kind: str
    subject: str
    ds: date
    severity: Severity
    title: str
    summary: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    since: date | None = None
    channel: str | None = None
    on_call: str | None = None


@dataclass(frozen=True)
class Incident:
    """One way in which one subject is broken. `thread` is Slack's timestamp of the first message, once delivered."""

    id: int
    kind: str
    subject: str
    severity: str
    title: str
    first_ds: date
    last_ds: date
    repeats: int
    channel: str
    thread: str | None
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class Message:
    """One message of the outbox. `thread` is None until the first message of its incident is delivered."""

    id: int
    incident_id: int | None
    event: Event
    kind: str
    subject: str
    ds: date
    severity: str
    title: str
    summary: str
    numbers: dict[str, str]
    links: dict[str, str]
    since: date | None
    on_call: str | None
    channel: str
    thread: str | None
    status: Status
    attempts: int
    not_before: datetime
    claim: str | None
    last_error: str | None
    recorded_at: datetime
    sent_at: datetime | None


def fold(alert: Alert, incident: Incident | None, told: Collection[date]) -> Event | None:
    """What to tell: `incident` is the open one of that kind and subject, `told` its partitions that have a message.

    None where everybody knows already. A worse severity is told even for a partition that has a message.
    """
    if incident is None:
        return "opened"
    if RANK[alert.severity] > RANK[incident.severity]:
        return "escalated"
    return None if alert.ds in told else "repeated"


def bad_since(alert: Alert, incident: Incident | None) -> date:
    """The first bad partition that is known of."""
    known = [alert.ds, alert.since, incident.first_ds if incident else None]
    return min(ds for ds in known if ds is not None)


def recovers(incident: Incident | None, ds: date) -> bool:
    """Whether a good partition `ds` ends the incident: one that lies before the last bad partition says nothing."""
    return incident is not None and ds >= incident.last_ds


def next_attempt(at: datetime, attempts: int, retry_after: float | None) -> datetime:
    """When to try again after the `attempts`-th failure at `at`; `retry_after` (seconds) is what the service asked for.

    Waits double from half a minute to an hour; a service that asks for longer is asked again after an hour.
    """
    if retry_after is not None:
        return at + timedelta(seconds=min(max(retry_after, 1.0), LONGEST_WAIT.total_seconds()))
    doublings = min(max(attempts - 1, 0), 10)
    return at + min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)

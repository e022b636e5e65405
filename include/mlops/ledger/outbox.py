"""The outbox in SQL: adding a message, reading messages, and which of them may go out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, insert, or_, select

from include.mlops.ledger.tables import incidents, outbox
from include.mlops.policy.alerting import Alert, Event, Message

_ELSEWHERE = {"summary", "numbers", "links", "channel", "thread"}  # in the body, or the incident's
_OWN = [outbox.c[name] for name in Message.__dataclass_fields__ if name not in _ELSEWHERE]


def add(
    connection: Connection,
    event: Event,
    alert: Alert,
    channel: str,
    at: datetime,
    *,
    since: date | None,
    incident_id: int | None = None,
    once: str | None = None,
) -> None:
    connection.execute(
        insert(outbox),
        {
            "incident_id": incident_id,
            "event": event,
            "kind": alert.kind,
            "subject": alert.subject,
            "ds": alert.ds,
            "severity": alert.severity,
            "title": alert.title,
            "body": {"summary": alert.summary, "numbers": dict(alert.numbers), "links": dict(alert.links)},
            "since": since,
            "on_call": alert.on_call,
            "channel": channel,
            "once": once,
            "status": "waiting",
            "attempts": 0,
            "not_before": at,
            "recorded_at": at,
        },
    )


def messages() -> Select[Any]:
    """Messages, each with its incident's thread and the channel where that is."""
    return select(
        *_OWN,
        func.coalesce(incidents.c.channel, outbox.c.channel).label("channel"),
        incidents.c.thread,
        outbox.c.body,
    ).join_from(outbox, incidents, outbox.c.incident_id == incidents.c.id, isouter=True)


def as_message(row: Mapping[Any, Any]) -> Message:
    fields = dict(row)
    return Message(**fields.pop("body"), **fields)


def free(at: datetime) -> ColumnElement[bool]:
    """Waiting and its time has come, or being sent by somebody whose lease has ended."""
    return and_(outbox.c.status.in_(("waiting", "sending")), outbox.c.not_before <= at)


def due(at: datetime) -> ColumnElement[bool]:
    earlier = outbox.alias("earlier")
    undelivered_before = exists().where(
        earlier.c.incident_id == outbox.c.incident_id,
        earlier.c.id < outbox.c.id,
        earlier.c.status.in_(("waiting", "sending")),
    )
    in_order = or_(outbox.c.incident_id.is_(None), ~undelivered_before)
    has_thread = or_(outbox.c.event.in_(("opened", "noted")), incidents.c.thread.is_not(None))
    return and_(free(at), in_order, has_thread)

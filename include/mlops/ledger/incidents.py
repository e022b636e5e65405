"""Incidents and the outbox of their messages.

A message and its incident are recorded in one transaction. A sender claims a message before it sends, with a lease: two
senders never hold the same one, and a sender that dies leaves it to the next once the lease has ended. If it died after
the service took the message and before that was recorded, the message goes out twice: a repeat is better than a loss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from include.mlops.ledger.examples import without_key
from include.mlops.ledger.outbox import add, as_message, due, free, messages
from include.mlops.ledger.store import Store
from include.mlops.ledger.tables import incidents, outbox
from include.mlops.policy.alerting import RANK, Alert, Event, Incident, Message, Status, bad_since, fold, recovers

_INCIDENT = [incidents.c[name] for name in Incident.__dataclass_fields__]


class Incidents:
    """What is broken, and what was told about it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, alert: Alert, channel: str, at: datetime) -> Event | None:
        """Open an incident or add to the open one; returns what will be told, None where the alert was folded away.

        A new incident speaks in `channel`, an open one in the channel where it began.
        """
        try:
            with self._store.begin() as connection:
                return _record(connection, alert, channel, at)
        except IntegrityError:  # another process opened the incident in between: now there is one to add to
            with self._store.begin() as connection:
                return _record(connection, alert, channel, at)

    def note(self, alert: Alert, channel: str, at: datetime) -> bool:
        """Record a message that belongs to no incident; False where the same was noted before."""
        said = f"{alert.kind}\n{alert.subject}\n{alert.ds}\n{alert.title}"
        once = hashlib.sha256(said.encode()).hexdigest()
        try:
            with self._store.begin() as connection:
                add(connection, "noted", alert, channel, at, once=once, since=alert.since)
        except IntegrityError:
            return False
        return True

    def recover(self, kind: str, subject: str, ds: date, summary: str, at: datetime) -> bool:
        """Close the open incident with a message in its thread.

        False where there is none, or where it has a bad partition later than `ds`.
        """
        with self._store.begin() as connection:
            incident = _one(connection, _open(kind, subject).with_for_update())
            if incident is None or not recovers(incident, ds):
                return False
            connection.execute(update(incidents).where(incidents.c.id == incident.id).values(closed_at=at))
            numbers = {"Bad partitions": f"{incident.first_ds} to {incident.last_ds}", "Repeats": str(incident.repeats)}
            alert = Alert(kind, subject, ds, "info", incident.title, summary, numbers)
            add(connection, "recovered", alert, incident.channel, at, incident_id=incident.id, since=incident.first_ds)
            return True

    def open(self, kind: str, subject: str) -> Incident | None:
        with self._store.read() as connection:
            return _one(connection, _open(kind, subject))

    def covers(self, kind: str, subject: str, ds: date) -> bool:
        """Whether that day was bad, by an incident that is open or closed."""
        alike = and_(incidents.c.kind == kind, incidents.c.subject == subject)
        query = select(incidents.c.id).where(alike, incidents.c.first_ds <= ds, ds <= incidents.c.last_ds).limit(1)
        with self._store.read() as connection:
            return connection.execute(query).first() is not None

    def open_incidents(self) -> list[Incident]:
        """Oldest first."""
        query = select(*_INCIDENT).where(incidents.c.closed_at.is_(None)).order_by(incidents.c.id)
        with self._store.read() as connection:
            return [Incident(**row) for row in connection.execute(query).mappings()]

    def list_outbox(self, status: Status | None = None, limit: int = 50) -> list[Message]:
        """Newest first."""
        query = messages().order_by(outbox.c.id.desc()).limit(limit)
        if status:
            query = query.where(outbox.c.status == status)
        with self._store.read() as connection:
            return [as_message(row) for row in connection.execute(query).mappings()]

    def undelivered(self) -> int:
        """How many messages are waiting or being sent."""
        query = select(func.count()).select_from(outbox).where(outbox.c.status.in_(("waiting", "sending")))
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def claim(self, at: datetime, until: datetime) -> Message | None:
        """Take the oldest message that is due at `at`, and hold it until `until`. None where nothing is due.

        A reply is due once its incident's first message is delivered, and the replies before it delivered or refused.
        """
        ready = messages().where(due(at)).order_by(outbox.c.id).limit(1)
        with self._store.read() as connection:
            if connection.execute(ready).first() is None:  # the usual case, and it takes no write lock
                return None
        with self._store.begin() as connection:
            while row := connection.execute(ready).mappings().first():
                claim = uuid4().hex
                taken = connection.execute(
                    update(outbox)
                    .where(outbox.c.id == row["id"], free(at))
                    .values(status="sending", claim=claim, not_before=until)
                )
                if taken.rowcount == 1:  # 0 on Postgres, where another sender was quicker
                    return as_message({**row, "status": "sending", "claim": claim, "not_before": until})
        return None

    def sent(self, message: Message, channel: str, thread: str, at: datetime) -> None:
        """Record that `message` was taken as `thread` (Slack's timestamp) in `channel`."""
        with self._store.begin() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == message.id, outbox.c.status != "sent")
                .values(status="sent", sent_at=at, attempts=outbox.c.attempts + 1, claim=None, last_error=None)
            )
            if message.event == "opened":
                connection.execute(
                    update(incidents)
                    .where(incidents.c.id == message.incident_id, incidents.c.thread.is_(None))
                    .values(thread=thread, channel=channel)
                )

    def put_back(self, message: Message, error: str, not_before: datetime) -> None:
        """Record that `message` was not delivered, and when to try again."""
        self._give_up(message, "waiting", error, not_before)

    def refuse(self, message: Message, error: str, at: datetime) -> None:
        """Record that `message` will not be taken as it is; it stays until it is put in the queue again."""
        self._give_up(message, "refused", error, at)

    def hold_all(self, until: datetime) -> None:
        """No waiting message goes out before `until`: what a rate limit asks for."""
        with self._store.begin() as connection:
            connection.execute(
                update(outbox).where(outbox.c.status == "waiting", outbox.c.not_before < until).values(not_before=until)
            )

    def requeue(self, at: datetime, ids: Collection[int] | None = None) -> int:
        """Let refused messages (all, or those of `ids`) wait again; returns how many."""
        chosen = outbox.c.status == "refused"
        if ids is not None:
            chosen = and_(chosen, outbox.c.id.in_(ids))
        with self._store.begin() as connection:
            again = update(outbox).where(chosen).values(status="waiting", attempts=0, not_before=at)
            return connection.execute(again).rowcount

    def forget_key(self, subjects: Collection[str], values: Collection[str]) -> int:
        """Take the values of an erased key out of what was told of those subjects, and of DAGs named after them.

        Returns of how many messages.
        """
        subject = outbox.c.subject
        of_dags = [
            or_(subject.endswith(f"_{name}", autoescape=True), subject.contains(f"_{name}.", autoescape=True))
            for name in subjects
        ]
        query = select(outbox.c.id, outbox.c.body).where(or_(subject.in_(subjects), *of_dags))
        with self._store.begin() as connection:
            found = {row.id: (row.body, without_key(row.body, values)) for row in connection.execute(query).all()}
            changed = {number: now for number, (before, now) in found.items() if now != before}
            for number, body in changed.items():
                connection.execute(update(outbox).where(outbox.c.id == number).values(body=body))
        return len(changed)

    def _give_up(self, message: Message, status: Status, error: str, not_before: datetime) -> None:
        with self._store.begin() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == message.id, outbox.c.claim == message.claim)  # not where the lease has passed on
                .values(
                    status=status, attempts=outbox.c.attempts + 1, claim=None, last_error=error, not_before=not_before
                )
            )


def _record(connection: Connection, alert: Alert, channel: str, at: datetime) -> Event | None:
    incident = _one(connection, _open(alert.kind, alert.subject).with_for_update())
    event = fold(alert, incident, _told(connection, incident) if incident else ())
    since = bad_since(alert, incident)
    if incident is None:
        opened = connection.execute(
            insert(incidents).returning(incidents.c.id),
            {
                "kind": alert.kind,
                "subject": alert.subject,
                "severity": alert.severity,
                "title": alert.title,
                "first_ds": since,
                "last_ds": alert.ds,
                "repeats": 0,
                "channel": channel,
                "opened_at": at,
            },
        ).scalar_one()
        add(connection, "opened", alert, channel, at, incident_id=opened, since=since)
        return "opened"
    connection.execute(
        update(incidents)
        .where(incidents.c.id == incident.id)
        .values(
            first_ds=since,
            last_ds=max(alert.ds, incident.last_ds),
            severity=max(alert.severity, incident.severity, key=RANK.__getitem__),
            repeats=incident.repeats + 1,
        )
    )
    if event:
        add(connection, event, alert, incident.channel, at, incident_id=incident.id, since=since)
    return event


def _open(kind: str, subject: str) -> Select[Any]:
    return select(*_INCIDENT).where(
        incidents.c.kind == kind, incidents.c.subject == subject, incidents.c.closed_at.is_(None)
    )


def _one(connection: Connection, query: Select[Any]) -> Incident | None:
    row = connection.execute(query).mappings().first()
    return Incident(**row) if row else None


def _told(connection: Connection, incident: Incident) -> set[date]:
    return set(connection.execute(select(outbox.c.ds).where(outbox.c.incident_id == incident.id)).scalars())

"""Alerts: told once, in one thread an incident, and never lost.

Whether an alert may be raised at all (only the frontier may) is the caller's decision.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from include.mlops.alerts.message import render
from include.mlops.alerts.slack import Delayed, Delivered, Refused, Slack
from include.mlops.errors import MlopsError
from include.mlops.policy.alerting import Alert, Event, Message, Status, next_attempt
from include.mlops.settings import Settings

__all__ = ["Alert", "Alerts", "FlushResult", "Outbox"]

LEASE = timedelta(minutes=2)  # much longer than one call to Slack can take
AT_MOST = 50  # messages in one flush, so that a step does not stay for a long backlog

log = logging.getLogger(__name__)


class Outbox(Protocol):
    """Where incidents and their messages are kept: `ledger.incidents`."""

    def record(self, alert: Alert, channel: str, at: datetime) -> Event | None: ...
    def note(self, alert: Alert, channel: str, at: datetime) -> bool: ...
    def recover(self, kind: str, subject: str, ds: date, summary: str, at: datetime) -> bool: ...
    def claim(self, at: datetime, until: datetime) -> Message | None: ...
    def sent(self, message: Message, channel: str, thread: str, at: datetime) -> None: ...
    def put_back(self, message: Message, error: str, not_before: datetime) -> None: ...
    def refuse(self, message: Message, error: str, at: datetime) -> None: ...
    def hold_all(self, until: datetime) -> None: ...
    def requeue(self, at: datetime, ids: Collection[int] | None = None) -> int: ...
    def undelivered(self) -> int: ...
    def list_outbox(self, status: Status | None = None, limit: int = 50) -> list[Message]: ...


@dataclass(frozen=True)
class FlushResult:
    """Messages that this flush sent, those that still wait in the outbox, those that Slack refused in this flush."""

    sent: int
    waiting: int
    refused: int


def _now() -> datetime:
    return datetime.now(UTC)


class Alerts:
    """Records what broke and what recovered, and tells it on Slack.

    A step calls these at its end. Each raises ServiceUnavailable where the ledger cannot record, and nothing where
    Slack cannot deliver; the message then waits in the outbox, and a later call or `flush` sends it.
    """

    def __init__(
        self, incidents: Outbox, settings: Settings, clock: Callable[[], datetime] = _now, timeout: int = 10
    ) -> None:
        self._incidents = incidents
        self._channel = settings.slack_channel
        self._slack = Slack(settings.slack_url, settings.slack_token, timeout)
        self._clock = clock

    def send(self, alert: Alert) -> None:
        """Open an incident, or add to the open one of that kind and subject; at most one message a partition."""
        event = self._incidents.record(alert, alert.channel or self._channel, self._clock())
        log.info("alert %s of %s at %s: %s", alert.kind, alert.subject, alert.ds, event or "told already")
        self._deliver()

    def note(self, alert: Alert) -> None:
        """Tell something that is no incident; the same note (kind, subject, ds, title) is told once."""
        self._incidents.note(alert, alert.channel or self._channel, self._clock())
        self._deliver()

    def recover(self, kind: str, subject: str, ds: date, summary: str) -> bool:
        """Close the open incident with a message in its thread; False where none is open that `ds` can end.

        A good partition before the incident's last bad one does not end it.
        """
        closed = self._incidents.recover(kind, subject, ds, summary, self._clock())
        if closed:
            self._deliver()
        return closed

    def requeue(self, ids: Collection[int] | None = None) -> int:
        """Let refused messages (all, or those of `ids`) wait again, for the next flush; returns how many."""
        return self._incidents.requeue(self._clock(), ids)

    def flush(self) -> FlushResult:
        """Send what is due, in order. Stops at the first delay, which the rest would meet too.

        Raises ServiceUnavailable where the ledger does not answer. A message that Slack took just before that, or
        before this process was killed, goes out a second time when the sender's lease has ended.
        """
        sent = refused = 0
        for _ in range(0 if self._slack.fault else AT_MOST):
            at = self._clock()
            message = self._incidents.claim(at, at + LEASE)
            if message is None:
                break
            outcome = self._post(message)
            if isinstance(outcome, Delivered):
                self._incidents.sent(message, outcome.channel, outcome.ts, self._clock())
                sent += 1
            elif isinstance(outcome, Refused):
                log.error("message %s to %s: %s", message.id, message.channel, outcome.error)
                self._incidents.refuse(message, outcome.error, self._clock())
                refused += 1
            else:
                self._wait(message, outcome)
                break
        return FlushResult(sent, self._incidents.undelivered(), refused)

    def outbox(self, status: Status | None = None, limit: int = 50) -> list[tuple[str, ...]]:
        """Rows of the outbox as text, under `listing.COLUMNS`, newest first."""
        from include.mlops.alerts.listing import outbox_rows

        return outbox_rows(self._incidents.list_outbox(status, limit), self._slack.fault)

    def _deliver(self) -> None:
        if self._slack.fault:
            log.warning("%s: alerts wait in the outbox", self._slack.fault)
            return
        try:
            self.flush()
        except MlopsError as error:  # recorded already, so a later flush sends it
            log.warning("alerts wait in the outbox: %s", error)

    def _post(self, message: Message) -> Delivered | Delayed | Refused:
        try:
            post = render(message)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # or it would block all that is behind it
            return Refused(f"could not be rendered: {type(error).__name__}: {error}")
        in_thread = message.event not in {"opened", "noted"}
        return self._slack.post(
            message.channel, post, message.thread if in_thread else None, broadcast=message.event == "escalated"
        )

    def _wait(self, message: Message, outcome: Delayed) -> None:
        until = next_attempt(self._clock(), message.attempts + 1, outcome.retry_after)
        log.warning("message %s waits until %s: %s", message.id, until, outcome.error)
        self._incidents.put_back(message, outcome.error, until)
        if outcome.retry_after is not None:
            self._incidents.hold_all(until)

"""The outbox as rows of text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from include.mlops.policy.alerting import Message

COLUMNS = ("id", "status", "severity", "partition", "title", "why")


def outbox_rows(messages: Sequence[Message], fault: str | None = None) -> list[tuple[str, ...]]:
    """One row a message, under COLUMNS; `fault` says why nothing can be sent at all."""
    return [
        (
            str(message.id),
            message.status,
            "recovered" if message.event == "recovered" else message.severity,
            str(message.ds),
            message.title,
            _why(message, fault),
        )
        for message in messages
    ]


def _why(message: Message, fault: str | None) -> str:
    if message.status == "sent":
        return f"sent {message.sent_at:%Y-%m-%d %H:%M}" if message.sent_at else "sent"
    if message.status == "refused":
        return message.last_error or "refused"
    if fault:
        return fault
    if message.event not in {"opened", "noted"} and message.thread is None:
        return f"after the first message of incident {message.incident_id}"
    return f"{message.last_error}; again from {message.not_before:%H:%M}" if message.last_error else ""

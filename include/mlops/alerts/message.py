"""A message of the outbox as Slack's Block Kit.

Limits and escaping: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.policy.alerting import Message

HEADER, SECTION, FIELD, FIELDS, BLOCKS, TEXT = 150, 3000, 2000, 10, 50, 3000
MOST_NUMBERS, MOST_LINKS = 40, 20
SIGN = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}
RECOVERED = ":large_green_circle:"


@dataclass(frozen=True)
class Post:
    """`text` is what a phone's notification shows, `blocks` what the channel shows."""

    text: str
    blocks: list[dict[str, Any]]


def render(message: Message) -> Post:
    """What broke, which partition, since when, how bad, and where to click."""
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": clipped(_headline(message), HEADER), "emoji": True}},
        *_fields(_facts(message)),
        *_paragraph(escaped(message.summary.strip(), SECTION)),
        *_fields([_field(name, value) for name, value in list(message.numbers.items())[:MOST_NUMBERS]]),
        *_paragraph(_links(message.links)),
        {"type": "context", "elements": [_mrkdwn(_footnote(message))]},
    ]
    where = f"{message.subject} {message.ds}"
    return Post(escaped(f"{_headline(message)} | {where} | {message.summary.strip()}", TEXT), blocks[:BLOCKS])


def clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escaped(text: str, limit: int) -> str:
    """`text` with Slack's three control characters escaped, within `limit` characters, never cut inside an escape."""
    escape = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    pieces = [escape.get(character, character) for character in text]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    kept, room = [], limit - 1
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def _headline(message: Message) -> str:
    title = message.title.strip() or f"{message.kind} of {message.subject}"
    if message.event == "recovered":
        return f"{RECOVERED} Recovered: {title}"
    told = {"repeated": "Still: ", "escalated": "Worse: "}.get(message.event, "")
    return f"{SIGN[message.severity]} {told}{title}"


def _facts(message: Message) -> list[dict[str, Any]]:
    facts = [_field("What", message.subject), _field("Partition (ds)", str(message.ds))]
    if message.since:
        facts.append(_field("Since", _since(message.since, message.ds)))
    if message.event != "recovered":
        facts.append(_field("Severity", message.severity))
    if message.on_call and message.event in {"opened", "escalated"} and message.severity != "info":
        facts.append(_mrkdwn(f"*On call*\n{mention(message.on_call)}"))
    return facts


def _since(since: date, ds: date) -> str:
    days = (ds - since).days + 1
    return f"{since} ({days} days)" if days > 1 else str(since)


def mention(on_call: str) -> str:
    """Who is called: a member id (U...), a user group id (S...), `here`, `channel`; any other name stands as text."""
    name = on_call.strip().lstrip("@")
    if re.fullmatch(r"[UW][A-Z0-9]{6,}", name):
        return f"<@{name}>"
    if re.fullmatch(r"S[A-Z0-9]{6,}", name):
        return f"<!subteam^{name}>"
    if name in {"here", "channel", "everyone"}:
        return f"<!{name}>"
    return escaped(on_call, 200)


def _links(links: Mapping[str, str]) -> str:
    """`<url|label>` for each absolute URL, as many as fit a section."""
    shown: list[str] = []
    for label, url in list(links.items())[:MOST_LINKS]:
        if not re.match(r"https?://", url):
            continue
        address = re.sub(r"[\s|<>]", lambda found: f"%{ord(found[0]):02X}", url).replace("&", "&amp;")
        shown.append(f"<{address}|{escaped(label, 100).replace('|', '/')}>")
        if len(" · ".join(shown)) > SECTION:
            shown.pop()
    return " · ".join(shown)


def _footnote(message: Message) -> str:
    number = f"incident {message.incident_id}" if message.incident_id is not None else "note"
    return escaped(f"{message.kind} · {number} · recorded {message.recorded_at:%Y-%m-%d %H:%M} UTC", FIELD)


def _paragraph(text: str) -> list[dict[str, Any]]:
    return [{"type": "section", "text": _mrkdwn(text)}] if text else []


def _fields(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "section", "fields": fields[n : n + FIELDS]} for n in range(0, len(fields), FIELDS)]


def _field(name: str, value: str) -> dict[str, Any]:
    return _mrkdwn(f"*{escaped(name, 200)}*\n{escaped(value.strip() or '-', FIELD - 210)}")


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}

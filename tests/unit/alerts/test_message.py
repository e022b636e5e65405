from __future__ import annotations

import html
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest

from include.mlops.alerts.listing import COLUMNS, outbox_rows
from include.mlops.alerts.message import Post, escaped, mention, render
from include.mlops.policy.alerting import Message

AT = datetime(2013, 4, 13, 2, 5, tzinfo=UTC)


def message(**values: Any) -> Message:
    told: dict[str, Any] = {
        "id": 7,
        "incident_id": 3,
        "event": "opened",
        "kind": "drift",
        "subject": "flight_delay",
        "ds": date(2013, 4, 12),
        "severity": "critical",
        "title": "Predictions refused",
        "summary": "Expected a mean below 0.5, found 0.93.",
        "numbers": {"Mean score": "0.93", "Rows": "899"},
        "links": {"Airflow run": "https://airflow.example/runs/a?x=1&y=2", "Report": "https://mlops.example/r.html"},
        "since": date(2013, 4, 10),
        "on_call": "U01ABCDEF",
        "channel": "#mlops",
        "thread": None,
        "status": "waiting",
        "attempts": 0,
        "not_before": AT,
        "claim": None,
        "last_error": None,
        "recorded_at": AT,
        "sent_at": None,
    }
    return Message(**{**told, **values})


def texts(post: Post) -> list[str]:
    """Each text object, in the order in which it is read."""
    found = []
    for block in post.blocks:
        parts = [block["text"]] if "text" in block else []
        found += [part["text"] for part in [*parts, *block.get("fields", []), *block.get("elements", [])]]
    return found


def test_a_message_says_what_broke_which_partition_since_when_how_bad_and_where_to_click() -> None:
    assert texts(render(message())) == [
        ":red_circle: Predictions refused",
        "*What*\nflight_delay",
        "*Partition (ds)*\n2013-04-12",
        "*Since*\n2013-04-10 (3 days)",
        "*Severity*\ncritical",
        "*On call*\n<@U01ABCDEF>",
        "Expected a mean below 0.5, found 0.93.",
        "*Mean score*\n0.93",
        "*Rows*\n899",
        "<https://airflow.example/runs/a?x=1&amp;y=2|Airflow run> · <https://mlops.example/r.html|Report>",
        "drift · incident 3 · recorded 2013-04-13 02:05 UTC",
    ]


def test_the_notification_says_it_in_one_line() -> None:
    assert render(message()).text == (
        ":red_circle: Predictions refused | flight_delay 2013-04-12 | Expected a mean below 0.5, found 0.93."
    )


@pytest.mark.parametrize(
    ("event", "severity", "headline", "calls"),
    [
        ("opened", "warning", ":large_orange_circle: Predictions refused", True),
        ("opened", "info", ":large_blue_circle: Predictions refused", False),
        ("repeated", "critical", ":red_circle: Still: Predictions refused", False),
        ("escalated", "critical", ":red_circle: Worse: Predictions refused", True),
        ("recovered", "info", ":large_green_circle: Recovered: Predictions refused", False),
        ("noted", "info", ":large_blue_circle: Predictions refused", False),
    ],
)
def test_the_headline_tells_the_event_and_only_new_trouble_calls_somebody(
    event: str, severity: str, headline: str, *, calls: bool
) -> None:
    found = texts(render(message(event=event, severity=severity)))
    assert found[0] == headline
    assert any("<@U01ABCDEF>" in text for text in found) is calls


@pytest.mark.parametrize(
    ("on_call", "called"),
    [
        ("U01ABCDEF", "<@U01ABCDEF>"),
        ("@W01ABCDEF", "<@W01ABCDEF>"),
        ("S01ABCDEF", "<!subteam^S01ABCDEF>"),
        ("@here", "<!here>"),
        ("ann <boss>", "ann &lt;boss&gt;"),
    ],
)
def test_who_is_called(on_call: str, called: str) -> None:
    assert mention(on_call) == called


def test_control_characters_are_escaped_everywhere_but_in_the_plain_header() -> None:
    sly = "a<!channel> & b>c"
    post = render(
        message(title=sly, summary=sly, subject=sly, numbers={sly: sly}, links={sly: "https://x/<!here>|y z"})
    )
    assert "<!" not in "".join([post.text, *texts(post)[1:]])
    assert texts(post)[0] == f":red_circle: {sly}"
    assert "a&lt;!channel&gt; &amp; b&gt;c" in texts(post)
    assert "<https://x/%3C!here%3E%7Cy%20z|a&lt;!channel&gt; &amp; b&gt;c>" in texts(post)


def check_limits(post: Post) -> None:
    assert len(post.blocks) <= 50
    for block in post.blocks:
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= 150
        if block["type"] == "section":
            assert ("text" in block) != ("fields" in block)
            assert 1 <= len(block.get("text", {"text": "x"})["text"]) <= 3000
            assert 1 <= len(block.get("fields", [1])) <= 10
            assert all(1 <= len(field["text"]) <= 2000 for field in block.get("fields", []))


def test_what_is_too_long_is_cut_with_an_ellipsis_within_slacks_limits() -> None:
    long = "&" * 5000
    numbers = {f"{long}{n}": long for n in range(200)}
    links = {f"link {n}": f"https://x/{'a' * 700}/{n}" for n in range(30)}
    post = render(
        message(title=long, summary=long, subject=long, on_call=long, kind=long, numbers=numbers, links=links)
    )
    check_limits(post)
    assert texts(post)[0].endswith("…")
    summary = texts(post)[6]
    assert re.fullmatch(r"(&amp;)+…", summary)
    assert len(post.text) <= 3000


def test_what_is_empty_leaves_no_empty_block_which_slack_would_refuse() -> None:
    post = render(message(title=" ", summary="\n", numbers={"Rows": ""}, links={}, since=None, on_call=None))
    check_limits(post)
    assert texts(post)[0] == ":red_circle: drift of flight_delay"
    assert "*Rows*\n-" in texts(post)


def test_a_link_that_is_no_absolute_url_is_left_out() -> None:
    found = texts(render(message(links={"a": "/mlops/reports/x", "b": "javascript:alert(1)", "c": "https://c"})))
    assert [text for text in found if "|" in text] == ["<https://c|c>"]


@pytest.mark.parametrize("limit", range(1, 30))
def test_an_escape_is_never_cut_in_half(limit: int) -> None:
    text = "a&b<c>d&e"
    cut = escaped(text, limit)
    assert len(cut) <= limit
    shown = html.unescape(cut)
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))


@pytest.mark.parametrize(
    ("values", "fault", "status", "why"),
    [
        ({}, None, "waiting", ""),
        ({}, "MLOPS_SLACK_TOKEN is not set", "waiting", "MLOPS_SLACK_TOKEN is not set"),
        ({"event": "repeated"}, None, "waiting", "after the first message of incident 3"),
        ({"last_error": "429", "attempts": 1}, None, "waiting", "429; again from 02:05"),
        ({"status": "refused", "last_error": "channel_not_found"}, "x", "refused", "channel_not_found"),
        ({"status": "sent", "sent_at": AT}, "x", "sent", "sent 2013-04-13 02:05"),
    ],
)
def test_a_row_of_the_outbox_says_why_it_is_where_it_is(
    values: dict[str, Any], fault: str | None, status: str, why: str
) -> None:
    row = dict(zip(COLUMNS, outbox_rows([message(**values)], fault)[0], strict=True))
    assert (row["status"], row["why"]) == (status, why)
    assert (row["id"], row["partition"]) == ("7", "2013-04-12")

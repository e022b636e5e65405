from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.mlops.alerts.alert import Alert, Alerts, FlushResult
from include.mlops.alerts.listing import COLUMNS
from include.mlops.errors import ServiceUnavailable
from include.mlops.ledger.ledger import Ledger

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "xoxb-1234-secret"
Made = Callable[..., Alerts]


def on(alert: Alert, day: int) -> Alert:
    return replace(alert, ds=date(2013, 4, day))


def statuses(ledger: Ledger) -> list[str]:
    return [message.status for message in reversed(ledger.incidents.list_outbox())]


def why(alerts: Alerts) -> list[str]:
    return [dict(zip(COLUMNS, row, strict=True))["why"] for row in reversed(alerts.outbox())]


def test_an_incident_is_one_thread_from_first_alert_to_recovery(alerts: Alerts, slack: Any, drift: Alert) -> None:
    for day in (10, 10, 11, 12):
        alerts.send(on(drift, day))
    assert alerts.recover("drift", "flight_delay", date(2013, 4, 13), "Below 0.1 again.")
    first = "1365645600.000000"
    assert slack.told() == [
        ("C01", ":large_orange_circle: carrier drifted", None),
        ("C01", ":large_orange_circle: Still: carrier drifted", first),
        ("C01", ":large_orange_circle: Still: carrier drifted", first),
        ("C01", ":large_green_circle: Recovered: carrier drifted", first),
    ]
    assert not alerts.recover("drift", "flight_delay", date(2013, 4, 13), "Below 0.1 again.")
    alerts.send(on(drift, 14))
    assert slack.told()[-1] == ("C01", ":large_orange_circle: carrier drifted", None)


def test_only_what_got_worse_is_told_to_the_channel_again(alerts: Alerts, slack: Any, drift: Alert) -> None:
    for alert in (drift, replace(drift, severity="critical"), on(drift, 11)):
        alerts.send(alert)
    assert [request.get("reply_broadcast") for request in slack.requests] == [None, True, None]


def test_an_alert_goes_to_its_own_channel_and_its_replies_stay_there(
    make_alerts: Made, slack: Any, drift: Alert
) -> None:
    make_alerts().send(replace(drift, channel="#flights"))
    make_alerts(slack_channel="#elsewhere").send(on(drift, 11))
    assert [channel for channel, _, _ in slack.told()] == ["C02", "C02"]


def test_a_note_is_told_once_and_is_no_incident(alerts: Alerts, slack: Any, drift: Alert, ledger: Ledger) -> None:
    note = replace(drift, kind="release", severity="info", title="version 2 is champion from 2013-04-12")
    alerts.note(note)
    alerts.note(note)
    assert slack.told() == [("C01", ":large_blue_circle: version 2 is champion from 2013-04-12", None)]
    assert ledger.incidents.open_incidents() == []


def test_whatever_length_and_characters_slack_takes_the_message(alerts: Alerts, slack: Any, drift: Alert) -> None:
    long = "<&>*_é" * 2000
    numbers = {f"{n}{long}": long for n in range(100)}
    links = {f"{n}{long}": f"https://x/{long}" for n in range(30)}
    alerts.send(replace(drift, title=long, summary=long, numbers=numbers, links=links, on_call=long))
    alerts.send(replace(drift, kind="late", title="", summary="", numbers={}, links={"": "https://x"}))
    assert len(slack.taken) == 2


def test_without_a_token_alerts_wait_and_go_out_once_there_is_one(make_alerts: Made, slack: Any, drift: Alert) -> None:
    silent = make_alerts(slack_token="")
    silent.send(drift)
    silent.send(on(drift, 11))
    assert slack.requests == []
    assert why(silent) == ["MLOPS_SLACK_TOKEN is not set"] * 2
    assert silent.flush() == FlushResult(sent=0, waiting=2, refused=0)
    assert make_alerts().flush() == FlushResult(sent=2, waiting=0, refused=0)


DELAYS: list[tuple[Any, str]] = [
    ("hang", "timed out|TimeoutError"),
    ("drop", "closed connection|RemoteDisconnected"),
    ((500, {}, b"<html>oops</html>"), "500"),
    ((503, {}, b'{"ok": false, "error": "service_unavailable"}'), "503"),
    ((502, {}, b'{"ok": false, "error": "channel_not_found"}'), "502"),
    ((429, {}, b"{}"), "429"),
    ((200, {}, b"{not json"), "not json"),
    ((200, {}, b"[]"), "Slack"),
    ((200, {}, b"null"), "Slack"),
    ((200, {}, b""), "Slack"),
    ((200, {}, b"\xff\xfe"), "Slack"),
    ((200, {"Content-Length": "5000"}, b'{"ok": true'), "IncompleteRead"),
    ((200, {}, b'{"ok": true, "channel": "C01"}'), "names no message"),
    ((404, {}, b"<html>not here</html>"), "404"),
    ((200, {}, b'{"ok": false, "error": "internal_error"}'), "internal_error"),
    ((200, {}, b'{"ok": false, "error": "ratelimited"}'), "ratelimited"),
]


@pytest.mark.parametrize(("answer", "said"), DELAYS)
def test_a_message_that_slack_did_not_take_waits_and_goes_out_later(
    answer: Any, said: str, alerts: Alerts, slack: Any, drift: Alert, clock: Any, ledger: Ledger
) -> None:
    slack.answers = [answer]
    alerts.send(drift)
    message = ledger.incidents.list_outbox()[0]
    assert (message.status, message.attempts) == ("waiting", 1)
    assert re.search(said, message.last_error or "")
    assert len(slack.requests) == 1, "the client itself tried again, which may repeat a message"
    clock.move(seconds=29)
    assert alerts.flush() == FlushResult(sent=0, waiting=1, refused=0)
    clock.move(seconds=1)
    assert alerts.flush() == FlushResult(sent=1, waiting=0, refused=0)
    assert len(slack.taken) == 1


def test_nobody_listening_is_a_delay_too(
    make_alerts: Made, drift: Alert, ledger: Ledger, slack: Any, clock: Any
) -> None:
    for url in ("http://127.0.0.1:1/api/", "http://nowhere.invalid/", "ftp://x/", "nonsense"):
        make_alerts(slack_url=url).send(drift)
        message = ledger.incidents.list_outbox()[0]
        assert (message.status, message.attempts) == ("waiting", 1)
        clock.move(hours=1)
        assert make_alerts().flush().sent == 1
        assert make_alerts().recover("drift", "flight_delay", drift.ds, "")


def test_a_host_that_needs_no_proxy_is_reached_without_it(
    alerts: Alerts, slack: Any, drift: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    alerts.send(drift)
    assert len(slack.taken) == 1


def test_waits_grow_while_slack_stays_down(
    alerts: Alerts, slack: Any, drift: Alert, clock: Any, ledger: Ledger
) -> None:
    slack.answers = ["internal_error"] * 4
    waits = []
    alerts.send(drift)
    for _ in range(3):
        not_before = ledger.incidents.list_outbox()[0].not_before
        waits.append((not_before - clock.at).total_seconds())
        clock.at = not_before
        alerts.flush()
    assert waits == [30, 60, 120]


def test_a_rate_limit_holds_every_message_for_as_long_as_slack_asks(
    make_alerts: Made, slack: Any, drift: Alert, clock: Any
) -> None:
    for kind in ("a", "b"):
        make_alerts(slack_token="").send(replace(drift, kind=kind))
    slack.answers = [(429, {"Retry-After": "90"}, b'{"ok": false, "error": "ratelimited"}')]
    alerts = make_alerts()
    alerts.flush()
    clock.move(seconds=89)
    assert alerts.flush() == FlushResult(sent=0, waiting=2, refused=0)
    clock.move(seconds=1)
    assert alerts.flush() == FlushResult(sent=2, waiting=0, refused=0)


@pytest.mark.parametrize("header", ["soon", "nan", "inf", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_a_retry_after_that_makes_no_sense_loses_nothing(
    header: str, alerts: Alerts, slack: Any, drift: Alert, clock: Any
) -> None:
    slack.answers = [(429, {"Retry-After": header}, b"")]
    alerts.send(drift)
    clock.move(seconds=30)
    assert alerts.flush().sent == 1


def test_slack_being_down_costs_a_flush_one_attempt_not_one_a_message(
    make_alerts: Made, slack: Any, drift: Alert, clock: Any
) -> None:
    for kind in ("a", "b", "c"):
        make_alerts(slack_token="").send(replace(drift, kind=kind))
    slack.answers = [(503, {}, b"")]
    assert make_alerts().flush() == FlushResult(sent=0, waiting=3, refused=0)
    assert len(slack.requests) == 1
    assert make_alerts().flush().sent == 2
    clock.move(minutes=1)
    assert make_alerts().flush().sent == 1


def test_replies_recorded_while_slack_is_down_follow_their_first_message(
    alerts: Alerts, slack: Any, drift: Alert, clock: Any
) -> None:
    slack.answers = ["internal_error"]
    for day in (10, 11):
        alerts.send(on(drift, day))
    alerts.recover("drift", "flight_delay", date(2013, 4, 12), "Back.")
    assert slack.taken == []
    clock.move(minutes=1)
    assert alerts.flush().sent == 3
    assert [thread for _, _, thread in slack.told()] == [None, "1365645600.000000", "1365645600.000000"]
    assert [headline.split(": ")[1] for _, headline, _ in slack.told()] == ["carrier drifted", "Still", "Recovered"]


@pytest.mark.parametrize(
    "code", ["invalid_auth", "channel_not_found", "not_in_channel", "invalid_blocks", "msg_too_long"]
)
def test_a_refusal_is_kept_with_its_reason_until_somebody_queues_it_again(
    code: str, alerts: Alerts, slack: Any, drift: Alert, clock: Any, ledger: Ledger
) -> None:
    slack.answers = [code]
    alerts.send(drift)
    alerts.send(on(drift, 11))
    assert statuses(ledger) == ["refused", "waiting"]
    assert why(alerts) == [f"Slack refused: {code}", "after the first message of incident 1"]
    clock.move(days=7)
    assert alerts.flush() == FlushResult(sent=0, waiting=1, refused=0)
    assert alerts.requeue() == 1
    assert alerts.flush() == FlushResult(sent=2, waiting=0, refused=0)
    assert [thread for _, _, thread in slack.told()] == [None, "1365645600.000000"]


def test_a_refusal_tells_what_slack_says_about_the_blocks(alerts: Alerts, slack: Any, drift: Alert) -> None:
    refused = {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": ["[ERROR] must be shorter"]}}
    slack.answers = [(200, {}, json.dumps(refused).encode())]
    alerts.send(drift)
    assert why(alerts) == ["Slack refused: invalid_blocks ([ERROR] must be shorter)"]


def test_a_refused_message_does_not_hold_up_other_incidents(make_alerts: Made, slack: Any, drift: Alert) -> None:
    make_alerts().send(replace(drift, channel="#gone"))
    make_alerts().send(replace(drift, kind="late"))
    assert len(slack.taken) == 1


@pytest.mark.parametrize(
    "token", [TOKEN, "xoxb-wrong-secret", "xoxb-new\nline-secret", "xoxb sp-secret", "xoxb-é-secret"]
)
@pytest.mark.parametrize("answer", [None, "invalid_auth", "drop", (500, {}, b"x")])
def test_the_token_is_in_no_log_error_or_repr(
    token: str,
    answer: Any,
    make_alerts: Made,
    slack: Any,
    drift: Alert,
    caplog: pytest.LogCaptureFixture,
    ledger: Ledger,
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.answers = [answer] if answer else []
    alerts = make_alerts(slack_token=token)
    alerts.send(drift)
    seen = f"{caplog.text} {alerts.outbox()} {ledger.incidents.list_outbox()} {vars(alerts)} {vars(alerts._slack)}"
    assert "secret" not in seen


def test_a_message_whose_sender_was_killed_goes_out_when_its_lease_has_ended(
    alerts: Alerts, make_alerts: Made, slack: Any, drift: Alert, clock: Any, ledger: Ledger
) -> None:
    make_alerts(slack_token="").send(drift)
    slack.answers = ["hang"]
    sender = flusher(ledger, slack, at=clock.at.isoformat())
    assert slack.asked.wait(60)
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    assert statuses(ledger) == ["sending"]
    assert alerts.flush() == FlushResult(sent=0, waiting=1, refused=0)
    clock.move(minutes=2)
    assert alerts.flush() == FlushResult(sent=1, waiting=0, refused=0)
    assert len(slack.taken) == 1


def test_four_processes_that_flush_at_once_send_each_message_once(
    make_alerts: Made, slack: Any, drift: Alert, clock: Any, ledger: Ledger
) -> None:
    silent = make_alerts(slack_token="")
    for n in range(6):
        for day in (10, 11, 12, 13):
            silent.send(on(replace(drift, kind=f"kind{n}", title=f"title {n}"), day))
    running = [flusher(ledger, slack, at=clock.at.isoformat()) for _ in range(4)]
    assert [process.wait(120) for process in running] == [0] * 4
    make_alerts().flush()
    said = [(m["blocks"][0]["text"]["text"], m["blocks"][1]["fields"][1]["text"]) for m in slack.taken]
    assert len(said) == len(set(said)) == 24
    for n in range(6):
        days = [ds for headline, ds in said if headline.endswith(f"title {n}")]
        assert days == sorted(days)


def flusher(ledger: Ledger, slack: Any, at: str) -> subprocess.Popen[bytes]:
    code = """
import os
from datetime import datetime
from include.mlops.alerts.alert import Alerts
from include.mlops.ledger.ledger import Ledger
from include.mlops.settings import load_settings
at = datetime.fromisoformat(os.environ["AT"])
Alerts(Ledger(os.environ["LEDGER"]).incidents, load_settings(), lambda: at, timeout=60).flush()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "LEDGER": ledger.url, "AT": at}
    environment |= {"MLOPS_SLACK_URL": slack.url, "MLOPS_SLACK_TOKEN": TOKEN}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)


def test_a_ledger_that_cannot_record_is_an_error_and_nothing_is_sent(
    slack: Any, drift: Alert, make_alerts: Made, ledger: Ledger
) -> None:
    impatient = Ledger(f"{ledger.url}?timeout=0")
    alerts = make_alerts()
    alerts._incidents = impatient.incidents
    with ledger.begin(), pytest.raises(ServiceUnavailable):
        alerts.send(drift)
    impatient.close()
    assert slack.requests == []

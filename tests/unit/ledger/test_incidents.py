from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from include.mlops.ledger.incidents import Incidents
from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.tables import incidents as table
from include.mlops.policy.alerting import Alert, Message

AT = datetime(2013, 4, 11, 2, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=2)
CHANNEL = "#mlops"
DRIFT = Alert(
    "drift",
    "flight_delay",
    date(2013, 4, 10),
    "warning",
    "carrier drifted",
    "Look.",
    {"JS": "0.4"},
    {"Run": "https://a/1"},
)


@pytest.fixture
def incidents(ledger: Ledger) -> Incidents:
    return ledger.incidents


def on(day: int, alert: Alert = DRIFT) -> Alert:
    return replace(alert, ds=date(2013, 4, day))


def take(incidents: Incidents, at: datetime = AT) -> Message:
    message = incidents.claim(at, at + timedelta(minutes=1))
    assert message is not None
    return message


def deliver(incidents: Incidents, thread: str = "1.1") -> Message:
    message = take(incidents)
    incidents.sent(message, "C1", thread, AT)
    return message


def events(incidents: Incidents) -> list[tuple[str, int]]:
    return [(message.event, message.ds.day) for message in reversed(incidents.list_outbox())]


def test_the_first_alert_opens_an_incident_with_all_it_said(incidents: Incidents) -> None:
    assert incidents.record(DRIFT, CHANNEL, AT) == "opened"
    incident = incidents.open("drift", "flight_delay")
    assert incident is not None
    assert incidents.open_incidents() == [incident]
    assert (incident.first_ds, incident.last_ds, incident.repeats) == (date(2013, 4, 10), date(2013, 4, 10), 0)
    assert (incident.title, incident.opened_at, incident.closed_at) == ("carrier drifted", AT, None)
    message = incidents.list_outbox()[0]
    assert (message.summary, message.numbers, message.links) == ("Look.", {"JS": "0.4"}, {"Run": "https://a/1"})
    assert (message.status, message.channel, message.recorded_at) == ("waiting", CHANNEL, AT)


def test_a_repeat_is_one_message_a_partition_in_the_same_incident(incidents: Incidents) -> None:
    told = [incidents.record(on(day), CHANNEL, AT) for day in (10, 10, 11, 11, 10)]
    assert told == ["opened", None, "repeated", None, None]
    incident = incidents.open_incidents()[0]
    assert (incident.last_ds.day, incident.repeats) == (11, 4)
    assert events(incidents) == [("opened", 10), ("repeated", 11)]


def test_other_kinds_and_subjects_are_other_incidents(incidents: Incidents) -> None:
    for alert in (DRIFT, replace(DRIFT, kind="late"), replace(DRIFT, subject="arrival_delay")):
        assert incidents.record(alert, CHANNEL, AT) == "opened"
    assert len(incidents.open_incidents()) == 3


def test_a_worse_severity_is_told_once_even_for_the_same_partition(incidents: Incidents) -> None:
    worse = replace(DRIFT, severity="critical")
    told = [incidents.record(alert, CHANNEL, AT) for alert in (DRIFT, worse, worse, DRIFT)]
    assert told == ["opened", "escalated", None, None]
    assert incidents.open_incidents()[0].severity == "critical"


def test_the_incident_began_where_the_alert_says_since_when(incidents: Incidents) -> None:
    incidents.record(replace(DRIFT, since=date(2013, 4, 7)), CHANNEL, AT)
    incidents.record(on(11), CHANNEL, AT)
    assert incidents.open_incidents()[0].first_ds == date(2013, 4, 7)
    assert {message.since for message in incidents.list_outbox()} == {date(2013, 4, 7)}


def test_recovery_closes_the_incident_with_a_message_and_the_next_alert_opens_another(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    assert incidents.recover("drift", "flight_delay", date(2013, 4, 11), "Back.", AT)
    assert incidents.open_incidents() == []
    assert not incidents.recover("drift", "flight_delay", date(2013, 4, 11), "Back.", AT)
    assert incidents.record(on(12), CHANNEL, AT) == "opened"
    assert events(incidents) == [("opened", 10), ("recovered", 11), ("opened", 12)]
    assert incidents.list_outbox()[1].numbers == {"Bad partitions": "2013-04-10 to 2013-04-10", "Repeats": "0"}


def test_an_older_good_partition_does_not_close_an_incident(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    incidents.record(on(12), CHANNEL, AT)
    assert not incidents.recover("drift", "flight_delay", date(2013, 4, 11), "Back.", AT)
    assert incidents.recover("drift", "flight_delay", date(2013, 4, 12), "Back.", AT)


def test_the_store_itself_refuses_two_open_incidents_of_one_kind(ledger: Ledger, incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    again = {
        "kind": "drift",
        "subject": "flight_delay",
        "severity": "info",
        "title": "",
        "channel": "",
        "opened_at": AT,
    }
    with pytest.raises(IntegrityError), ledger.begin() as connection:
        connection.execute(insert(table), {**again, "first_ds": DRIFT.ds, "last_ds": DRIFT.ds})


def test_processes_that_record_at_once_open_one_incident_with_one_message_a_partition(
    ledger: Ledger, url: str, processes: Callable[..., list[str]]
) -> None:
    code = """
import os
from datetime import UTC, date, datetime
from include.mlops.ledger.ledger import Ledger
from include.mlops.policy.alerting import Alert
incidents = Ledger(os.environ["LEDGER"]).incidents
for kind in "abcdefgh":
    for day in (10, 11):
        incidents.record(Alert(kind, "m", date(2013, 4, day), "info", "t", "s"), "#c", datetime.now(UTC))
    incidents.note(Alert(kind, "m", date(2013, 4, 10), "info", "note", "s"), "#c", datetime.now(UTC))
"""
    processes(code, url)
    assert sorted(incident.kind for incident in ledger.incidents.open_incidents()) == list("abcdefgh")
    told = ledger.incidents.list_outbox(limit=100)
    said = sorted((message.kind, message.event) for message in told)
    assert said == sorted((kind, event) for kind in "abcdefgh" for event in ("opened", "repeated", "noted"))
    assert {incident.repeats for incident in ledger.incidents.open_incidents()} == {7}


def test_a_channel_and_who_is_on_call_may_be_of_any_length(incidents: Incidents) -> None:
    incidents.record(replace(DRIFT, on_call="x" * 500, title="t" * 5000), "c" * 500, AT)
    assert (take(incidents).on_call, len(incidents.open_incidents()[0].channel)) == ("x" * 500, 500)


def test_a_note_opens_no_incident_and_is_kept_once(incidents: Incidents) -> None:
    note = replace(DRIFT, kind="release", severity="info", title="version 2 is champion")
    assert [incidents.note(n, CHANNEL, AT) for n in (note, note, on(11, note))] == [True, False, True]
    assert incidents.open_incidents() == []
    assert deliver(incidents).event == "noted"


def test_a_claimed_message_is_nobody_elses_until_its_lease_ends(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    first = incidents.claim(AT, LATER)
    assert first is not None
    assert incidents.claim(LATER - timedelta(seconds=1), LATER) is None
    second = incidents.claim(LATER, LATER + timedelta(minutes=2))
    assert second is not None
    assert second.id == first.id


def test_a_sender_that_lost_its_lease_cannot_put_back_what_another_sent(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    slow = take(incidents)
    quick = take(incidents, AT + timedelta(minutes=1))
    incidents.sent(quick, "C1", "1.1", AT)
    incidents.put_back(slow, "timeout", AT)
    incidents.refuse(slow, "channel_not_found", AT)
    assert incidents.list_outbox()[0].status == "sent"
    incidents.sent(slow, "C9", "9.9", AT)
    message = incidents.list_outbox()[0]
    assert (message.status, message.channel, message.thread) == ("sent", "C1", "1.1")


def test_a_reply_waits_for_the_first_message_and_gets_its_thread(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    incidents.record(on(11), CHANNEL, AT)
    first = take(incidents)
    assert incidents.claim(AT, LATER) is None
    incidents.sent(first, "C1", "1.1", AT)
    reply = take(incidents)
    assert (reply.event, reply.thread, reply.channel) == ("repeated", "1.1", "C1")


def test_replies_go_out_in_order(incidents: Incidents) -> None:
    for day in (10, 11, 12):
        incidents.record(on(day), CHANNEL, AT)
    deliver(incidents)
    second = take(incidents)
    incidents.put_back(second, "timeout", LATER)
    assert incidents.claim(AT, LATER) is None
    assert [take(incidents, LATER).ds.day, incidents.claim(LATER, LATER)] == [11, None]


def test_one_incident_does_not_hold_up_another(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    incidents.record(replace(DRIFT, kind="late"), CHANNEL, AT)
    incidents.put_back(take(incidents), "internal_error", LATER)
    assert take(incidents).kind == "late"


def test_a_refused_message_stays_visible_and_its_replies_wait_until_it_is_queued_again(incidents: Incidents) -> None:
    incidents.record(DRIFT, CHANNEL, AT)
    incidents.record(on(11), CHANNEL, AT)
    incidents.refuse(take(incidents), "channel_not_found", AT)
    assert incidents.claim(AT, LATER) is None
    assert [(m.event, m.last_error) for m in incidents.list_outbox("refused")] == [("opened", "channel_not_found")]
    assert incidents.requeue(AT) == 1
    assert [deliver(incidents).event, deliver(incidents).event] == ["opened", "repeated"]


def test_a_refused_reply_does_not_hold_up_the_next(incidents: Incidents) -> None:
    for day in (10, 11, 12):
        incidents.record(on(day), CHANNEL, AT)
    deliver(incidents)
    incidents.refuse(take(incidents), "invalid_blocks", AT)
    assert deliver(incidents).ds.day == 12


def test_only_the_refused_messages_that_are_named_are_queued_again(incidents: Incidents) -> None:
    for kind in ("drift", "late"):
        incidents.record(replace(DRIFT, kind=kind), CHANNEL, AT)
        incidents.refuse(take(incidents), "invalid_auth", AT)
    late = incidents.list_outbox("refused")[0]
    assert incidents.requeue(AT, [late.id]) == 1
    assert [m.kind for m in incidents.list_outbox("refused")] == ["drift"]
    assert incidents.requeue(AT, []) == 0


def test_a_rate_limit_holds_all_that_wait(incidents: Incidents) -> None:
    for kind in ("drift", "late"):
        incidents.record(replace(DRIFT, kind=kind), CHANNEL, AT)
    incidents.hold_all(LATER)
    assert incidents.claim(LATER - timedelta(seconds=1), LATER) is None
    assert take(incidents, LATER).kind == "drift"


def test_the_outbox_lists_the_newest_within_the_limit_and_counts_what_is_not_delivered(incidents: Incidents) -> None:
    for day in (10, 11, 12):
        incidents.record(on(day), CHANNEL, AT)
    deliver(incidents)
    take(incidents)
    assert [m.ds.day for m in incidents.list_outbox(limit=2)] == [12, 11]
    assert [m.status for m in incidents.list_outbox()] == ["waiting", "sending", "sent"]
    assert incidents.undelivered() == 2

"""The record of erasures: found again by the key, which it does not hold."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import select

from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.publications import Validation
from include.mlops.ledger.tables import erasures
from include.mlops.policy.alerting import Alert

KEYS = {"carrier": "A0PERSON", "flight": "7"}
TABLES: dict[str, Any] = {"features.f_v1": {"rows": {"2013-01-05": 2}, "tags": {"train_late": {"2013-01-05": 1}}}}
VERSIONS: list[dict[str, Any]] = [{"model": "late", "version": 3, "rows": 1}]


def test_an_erasure_is_found_by_its_key_in_whatever_order_and_by_the_versions_it_changed(ledger: Ledger) -> None:
    number = ledger.erasures.begin("flights", KEYS, "keeper", "request 12", TABLES, VERSIONS)
    (found,) = ledger.erasures.of_key("flights", dict(reversed(KEYS.items())))
    assert (found.id, found.rows, found.finished_at) == (number, 2, None)
    assert found.rows_of("late", 3) == 1
    assert ledger.erasures.of_version("late", 3) == [found]
    assert ledger.erasures.of_version("late", 2) == []
    assert ledger.erasures.of_key("flights", {**KEYS, "flight": "8"}) == []
    assert ledger.erasures.of_key("trains", KEYS) == []

    ledger.erasures.finish(number)
    assert ledger.erasures.all()[0].finished_at is not None


def test_the_key_itself_is_in_no_column_and_its_hash_differs_each_time(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.erasures.begin("flights", KEYS, "keeper", "request 12", TABLES, VERSIONS)
    with ledger.read() as connection:
        rows = [dict(row) for row in connection.execute(select(erasures)).mappings()]
    assert not [row for row in rows if KEYS["carrier"] in str(row)]
    assert rows[0]["key_hash"] != rows[1]["key_hash"]


def test_examples_of_observed_values_go_where_they_name_one(ledger: Ledger) -> None:
    def result(observed: str) -> Validation:
        return Validation("features.f_v1", date(2013, 1, 5), "run", "expect_it", "carrier", "warning", False, observed)

    told = ["1 of 120 rows otherwise, such as A0PERSON", "2 of 120 rows otherwise, such as UA, AA", "7"]
    ledger.publications.record_validations([result(one) for one in told])
    assert ledger.publications.days_with_examples("features.f_v1", list(KEYS.values())) == {date(2013, 1, 5)}
    assert ledger.publications.forget_examples("features.f_v1", list(KEYS.values())) == 1
    assert ledger.publications.days_with_examples("features.f_v1", list(KEYS.values())) == set()
    kept = [one.observed for one in ledger.publications.validations("features.f_v1", date(2013, 1, 5))]
    assert kept == ["1 of 120 rows otherwise", *told[1:]]


def test_messages_lose_examples_that_name_one_and_summaries_that_hold_the_whole_key(ledger: Ledger) -> None:
    def tell(subject: str, kind: str, summary: str, numbers: dict[str, str]) -> None:
        alert = Alert(kind, subject, date(2013, 1, 5), "warning", "title", summary, numbers, {"page": "https://a/b"})
        ledger.incidents.record(alert, "#data", datetime(2013, 1, 6, tzinfo=UTC))

    shown = {"be in set (carrier)": "1 of 120 rows otherwise, such as A0PERSON", "be in set (hour)": "7 of 120 rows"}
    tell("f", "validation", "Look whether the source changed.", shown)
    tell("f", "failed", "found 2 repeated, such as carrier=A0PERSON, flight=7; correct `keys`", {"Try": "1"})
    tell("ingest_f.validate", "failed", "no number in ('A0PERSON', 7)", {})
    tell("ingest_f_more", "failed", "of another group", shown)

    assert ledger.incidents.forget_key({"f"}, list(KEYS.values())) == 3

    told = {(one.subject, one.kind): (one.summary, one.numbers) for one in ledger.incidents.list_outbox()}
    cut = {"be in set (carrier)": "1 of 120 rows otherwise", "be in set (hour)": "7 of 120 rows"}
    assert told["f", "validation"] == ("Look whether the source changed.", cut)
    assert told["f", "failed"] == ("found 2 repeated", {"Try": "1"})
    assert "A0PERSON" not in told["ingest_f.validate", "failed"][0]
    assert told["ingest_f_more", "failed"] == ("of another group", shown)

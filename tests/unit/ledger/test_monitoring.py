from __future__ import annotations

from datetime import date

from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.monitoring import Verdict

MODEL = "flight_delay"


def day(number: int) -> date:
    return date(2013, 4, number)


def test_metrics_come_back_by_date(ledger: Ledger) -> None:
    ledger.monitoring.record(MODEL, day(11), "drift", {"carrier": 0.2, "origin": None}, 1, "r2")
    ledger.monitoring.record(MODEL, day(10), "drift", {"carrier": 0.1}, 1, "r1")
    ledger.monitoring.record(MODEL, day(10), "score", {"mean": 0.2}, 1, "r1")
    found = ledger.monitoring.metrics(MODEL, "drift")
    assert list(found.items()) == [(day(10), {"carrier": 0.1}), (day(11), {"carrier": 0.2, "origin": None})]


def test_recording_again_replaces_the_partition_and_only_it(ledger: Ledger) -> None:
    ledger.monitoring.record(MODEL, day(10), "drift", {"carrier": 0.1, "gone": 1.0}, 1, "r1")
    ledger.monitoring.record(MODEL, day(11), "drift", {"carrier": 0.3}, 1, "r1")
    ledger.monitoring.record(MODEL, day(10), "drift", {"carrier": 0.2}, 2, "r2")
    assert ledger.monitoring.metrics(MODEL, "drift") == {day(10): {"carrier": 0.2}, day(11): {"carrier": 0.3}}
    ledger.monitoring.record(MODEL, day(10), "drift", {}, 2, "r3")
    assert ledger.monitoring.metrics(MODEL, "drift") == {day(11): {"carrier": 0.3}}


def test_a_metric_without_a_finite_value_is_kept_as_none(ledger: Ledger) -> None:
    ledger.monitoring.record(MODEL, day(10), "performance", {"roc_auc": float("nan"), "r2": float("-inf")}, 1, "r1")
    assert ledger.monitoring.metrics(MODEL, "performance") == {day(10): {"roc_auc": None, "r2": None}}


def test_a_verdict_replaces_the_one_of_its_night(ledger: Ledger) -> None:
    for bad in (True, False):
        ledger.monitoring.judge(Verdict(MODEL, day(10), "drift", bad, confirmed=False, run_id="r"))
    assert [v.bad for v in ledger.monitoring.verdicts(MODEL, "drift")] == [False]


def test_verdicts_come_back_by_date_up_to_the_night_asked_for(ledger: Ledger) -> None:
    later = Verdict(MODEL, day(11), "drift", True, True, "r2", 3, day(10), {"carrier": 0.4}, "/mlops/reports/x.html")
    ledger.monitoring.judge(later)
    ledger.monitoring.judge(Verdict(MODEL, day(10), "drift", True, False, "r1"))
    ledger.monitoring.judge(Verdict(MODEL, day(10), "performance", True, False, "r1"))
    assert [v.ds for v in ledger.monitoring.verdicts(MODEL, "drift")] == [day(10), day(11)]
    assert ledger.monitoring.verdicts(MODEL, "drift")[1] == later
    assert [v.ds for v in ledger.monitoring.verdicts(MODEL, "drift", until=day(10))] == [day(10)]

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.releases import Decision, LiveInterval
from include.mlops.ledger.store import now
from include.mlops.ledger.tables import live_intervals

MODEL = "flight_delay"


def day(number: int) -> date:
    return date(2013, 4, number)


def test_no_version_is_live_before_the_first_promotion(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    assert ledger.releases.live(MODEL, day(4)) is None
    assert ledger.releases.live("other", day(5)) is None


def test_a_promotion_ends_what_was_live_the_day_before(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    ledger.releases.promote(MODEL, 2, day(12))
    assert [ledger.releases.live(MODEL, day(n)) for n in (5, 11, 12, 30)] == [1, 1, 2, 2]
    assert ledger.releases.intervals(MODEL) == [
        LiveInterval(MODEL, 1, day(5), day(11)),
        LiveInterval(MODEL, 2, day(12), None),
    ]


def test_going_back_to_an_older_version_is_a_promotion_too(ledger: Ledger) -> None:
    for version, first in ((1, 5), (2, 12), (1, 14)):
        ledger.releases.promote(MODEL, version, day(first))
    assert [ledger.releases.live(MODEL, day(n)) for n in (11, 13, 14)] == [1, 2, 1]


def test_promoting_what_is_live_changes_nothing(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    ledger.releases.promote(MODEL, 1, day(9))
    assert ledger.releases.intervals(MODEL) == [LiveInterval(MODEL, 1, day(5), None)]


def test_running_an_old_promotion_again_changes_nothing(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    ledger.releases.promote(MODEL, 2, day(12))
    before = ledger.releases.intervals(MODEL)
    ledger.releases.promote(MODEL, 1, day(5))
    assert ledger.releases.intervals(MODEL) == before


def test_history_is_not_rewritten(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    ledger.releases.promote(MODEL, 2, day(12))
    with pytest.raises(ValueError, match="v2 is live from 2013-04-12"):
        ledger.releases.promote(MODEL, 3, day(8))
    assert ledger.releases.live(MODEL, day(9)) == 1


def test_a_second_promotion_for_the_same_day_wins_and_leaves_no_empty_interval(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    ledger.releases.promote(MODEL, 2, day(5))
    assert ledger.releases.live(MODEL, day(5)) == 2
    assert ledger.releases.intervals(MODEL) == [LiveInterval(MODEL, 2, day(5), None)]
    ledger.releases.promote(MODEL, 1, day(5))
    assert ledger.releases.live(MODEL, day(5)) == 1


def test_the_store_itself_refuses_two_live_versions(ledger: Ledger) -> None:
    ledger.releases.promote(MODEL, 1, day(5))
    second = {"model": MODEL, "version": 2, "first_ds": day(6), "recorded_at": now()}
    with pytest.raises(IntegrityError), ledger.begin() as connection:
        connection.execute(insert(live_intervals), second)


def test_decisions_come_back_with_their_evidence_oldest_first(ledger: Ledger) -> None:
    gate = Decision(MODEL, day(5), "gate", "passed", "bundle", "better", 2, {"roc_auc": 0.71, "until": day(4)})
    ledger.releases.decide(gate)
    ledger.releases.decide(Decision(MODEL, day(5), "promote", "done", "ann", "approved", 2))
    ledger.releases.decide(Decision("other", day(5), "gate", "failed", "bundle", "worse"))
    assert [d.action for d in ledger.releases.decisions(MODEL)] == ["gate", "promote"]
    found = ledger.releases.decisions(MODEL, "gate")
    assert found == [
        Decision(MODEL, day(5), "gate", "passed", "bundle", "better", 2, {"roc_auc": 0.71, "until": "2013-04-04"})
    ]


def test_evidence_may_hold_numbers_that_json_has_not(ledger: Ledger) -> None:
    np = pytest.importorskip("numpy")
    evidence: dict[Any, Any] = {
        "auc": float("nan"),
        "bounds": (np.float32(0.5), np.int64(3)),
        "worst": -np.inf,
        7: {day(1)},
    }
    ledger.releases.decide(Decision(MODEL, day(5), "gate", "failed", "bundle", "one class", None, evidence))
    assert ledger.releases.decisions(MODEL)[0].evidence == {
        "auc": None,
        "bounds": [0.5, 3],
        "worst": None,
        "7": ["2013-04-01"],
    }

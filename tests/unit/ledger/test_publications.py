from __future__ import annotations

from datetime import date
from typing import Any

from include.mlops.ledger.database import PREPARATION_LOCK
from include.mlops.ledger.ledger import MIGRATION_LOCK, Ledger
from include.mlops.ledger.publications import RECORD_LOCK, Publication, Validation
from include.mlops.spec.interval import Interval

GROUP = "features.scheduled_flights_v1"
APRIL = Interval(date(2013, 4, 1), date(2013, 4, 30))


def publication(day: int, **values: Any) -> Publication:
    return Publication(
        **{"dataset": GROUP, "ds": date(2013, 4, day), "rows": 900, "meaning": "m1", "run_id": "r1", **values}
    )


def test_nothing_is_published_at_first(ledger: Ledger) -> None:
    assert ledger.publications.over(GROUP, APRIL) == {}
    assert ledger.publications.frontier(GROUP) is None
    assert ledger.publications.missing(GROUP, APRIL) == list(APRIL)


def test_a_publication_comes_back_as_it_was_recorded(ledger: Ledger) -> None:
    inputs = {"features.flight_outcomes_v1": [{"ds": date(2013, 4, 8), "snapshot_id": 2**62 + 1}]}
    recorded = publication(10, snapshot_id=2**63 - 1, quarantined=2, inputs=inputs, version=3, in_sample=True)
    ledger.publications.record([recorded])
    found = ledger.publications.over(GROUP, APRIL)[date(2013, 4, 10)]
    assert found == publication(
        10,
        snapshot_id=2**63 - 1,
        quarantined=2,
        inputs={"features.flight_outcomes_v1": [{"ds": "2013-04-08", "snapshot_id": 2**62 + 1}]},
        version=3,
        in_sample=True,
    )


def test_publishing_a_partition_again_counts_the_newest(ledger: Ledger) -> None:
    ledger.publications.record([publication(10, rows=900, run_id="r1"), publication(11)])
    ledger.publications.record([publication(10, rows=905, run_id="r2")])
    found = ledger.publications.over(GROUP, APRIL)
    assert {ds.day: row.rows for ds, row in found.items()} == {10: 905, 11: 900}


def test_only_the_dataset_and_the_interval_asked_for(ledger: Ledger) -> None:
    ledger.publications.record([publication(1), publication(30), publication(15, dataset="other")])
    ledger.publications.record([publication(1, ds=date(2013, 5, 1)), publication(1, ds=date(2013, 3, 31))])
    assert sorted(ds.isoformat() for ds in ledger.publications.over(GROUP, APRIL)) == ["2013-04-01", "2013-04-30"]
    assert len(ledger.publications.missing(GROUP, APRIL)) == 28


def test_the_frontier_is_the_newest_day_whatever_was_published_last(ledger: Ledger) -> None:
    ledger.publications.record([publication(12)])
    ledger.publications.record([publication(3)])
    assert ledger.publications.frontier(GROUP) == date(2013, 4, 12)


def test_recording_nothing_is_fine(ledger: Ledger) -> None:
    ledger.publications.record([])
    ledger.publications.record_validations([])
    assert ledger.publications.over(GROUP, APRIL) == {}


def test_the_meaning_is_the_one_declared_last(ledger: Ledger) -> None:
    assert ledger.publications.meaning(GROUP) is None
    ledger.publications.declare(GROUP, "m1", "first")
    ledger.publications.declare("other", "m9", "first")
    ledger.publications.declare(GROUP, "m2", "restated")
    assert ledger.publications.meaning(GROUP) == "m2"


def test_validations_of_a_partition_come_back_in_order(ledger: Ledger) -> None:
    day = date(2013, 4, 10)
    results = [
        Validation(GROUP, day, "r1", f"expect_{n}", "carrier", "critical", success=n != 1, observed=f"{n} nulls")
        for n in range(3)
    ]
    ledger.publications.record_validations(results)
    ledger.publications.record_validations([Validation(GROUP, date(2013, 4, 11), "r1", "x", "y", "info", True, "")])
    assert ledger.publications.validations(GROUP, day) == results


def test_each_time_that_a_partition_was_published_is_kept_with_its_digest(ledger: Ledger) -> None:
    ledger.publications.record([publication(10, digest="a")])
    ledger.publications.record([publication(10, digest="b", run_id="r2"), publication(11)])
    history = ledger.publications.history(GROUP, date(2013, 4, 10))
    assert [(one.run_id, one.digest) for _, one in history] == [("r1", "a"), ("r2", "b")]
    assert history[0][0] <= history[1][0]
    assert ledger.publications.history(GROUP, date(2013, 4, 12)) == []


def test_the_extent_of_a_dataset_goes_from_its_oldest_to_its_newest_day(ledger: Ledger) -> None:
    assert ledger.publications.extent(GROUP) is None
    ledger.publications.record([publication(12), publication(3)])
    assert ledger.publications.extent(GROUP) == Interval(date(2013, 4, 3), date(2013, 4, 12))


def test_the_last_partition_without_a_finding_is_the_newest_whose_own_run_had_none(ledger: Ledger) -> None:
    def finding(day: int, run_id: str, target: str = "gate") -> Validation:
        return Validation(GROUP, date(2013, 4, day), run_id, "expect_x", target, "warning", success=False, observed="")

    def last(before: int, target: str = "gate") -> date | None:
        return ledger.publications.last_without(GROUP, "expect_x", target, date(2013, 4, before))

    ledger.publications.record([publication(day) for day in (8, 9, 10, 11)])
    ledger.publications.record_validations([finding(9, "r1"), finding(10, "r1"), finding(11, "r1"), finding(8, "r0")])
    assert (last(12), last(12, "other"), last(8)) == (date(2013, 4, 8), date(2013, 4, 11), None)
    ledger.publications.record([publication(10, run_id="r2")])
    assert last(12) == date(2013, 4, 10), "the day was published again, without it"


def test_publishing_waits_for_no_migration_or_preparation_of_the_same_database() -> None:
    assert len({RECORD_LOCK, MIGRATION_LOCK, PREPARATION_LOCK}) == 3

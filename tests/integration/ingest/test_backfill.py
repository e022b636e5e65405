"""Backfills of feature groups: the plan, many days in few jobs, stopped and resumed, equal to nights one by one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from include.mlops.errors import PartitionsFailed
from include.mlops.local.airflow import exported
from include.mlops.policy.backfill import Order, Plan, State
from include.mlops.settings import ROOT
from include.mlops.spec.interval import Interval
from include.mlops.steps.history.backfill import carry_out
from include.mlops.steps.history.backfill_plan import plan
from include.mlops.steps.ingestion.ingest import ingest
from include.mlops.steps.ingestion.publish import publish
from include.mlops.steps.ingestion.validate import validate
from tests.integration.ingest.bundle import READINGS, Bundle, change, day, plans, readings

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("killed_backfill.py")
JOB, RECORD = "include.mlops.steps.history.backfill.ingest_interval", "include.mlops.steps.ingestion.publish._record"


def _landed(bundle: Bundle, last: int) -> Bundle:
    """Readings of March 1 to `last`, plans of March 5 to `last`; the plans read the readings of [-4d, -2d]."""
    bundle.write_readings()
    bundle.write_plans()
    for ds in Interval(day(1), day(last)):
        bundle.land(bundle.readings, ds, change(readings(ds), 3, value="odd") if ds.day % 4 == 0 else readings(ds))
        bundle.land(bundle.plans, ds, plans(ds))
    return bundle


def _plan(bundle: Bundle, what: str, first: int, last: int, run_id: str = "plan", **options: Any) -> Plan:
    return plan(bundle.platform(), Order(what, day(first), day(last), **options), run_id)


def _bulk(bundle: Bundle, what: str, first: int, last: int, run_id: str = "bulk", **options: Any) -> dict[str, list]:
    return carry_out(bundle.platform(), _plan(bundle, what, first, last, run_id, **options), run_id).made


def _states(found: Plan, number: int = 0) -> dict[int, State]:
    return {(one.ds - day(1)).days + 1: one.state for one in found.parts[number].days}


def _told(bundle: Bundle, name: str, first: int, last: int) -> Any:
    """Rows and records of a group, but for runs, commits and the bundle's own names."""
    records = [
        (ds, one.rows, one.quarantined, one.digest, _apart_from_commits(one.inputs))
        for ds, one in sorted(bundle.published(name, day(first), day(last)).items())
    ]
    told = json.dumps([bundle.rows(name, day(first), day(last)), records], default=str)
    return json.loads(told.replace(bundle.mark, ""))


def _apart_from_commits(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: {**told, "snapshot_id": 0, "modified": 0} for name, told in inputs.items()}


def _night(bundle: Bundle, name: str, ds: date) -> None:
    """What the tasks of the group's DAG do, each with rooms of its own."""
    one, two, three = (bundle.platform() for _ in range(3))
    group = one.specs.group(name)
    staged = ingest(one, group, Interval.day(ds), f"backfill__{ds}")
    publish(three, group, staged, validate(two, group, staged))


@pytest.fixture(scope="module")
def loaded(new_bundle: Callable[[], Bundle]) -> Bundle:
    """Both groups in bulk, in jobs of four days."""
    made = _landed(new_bundle(), 6)
    found = _bulk(made, made.readings, 1, 6, days_per_job=4, dependents="compute")
    assert [len(days) for days in found.values()] == [6, 6]
    return made


def test_a_group_and_what_reads_it_is_what_native_nights_make(loaded: Bundle, new_bundle: Callable[[], Bundle]) -> None:
    nights, days = _landed(new_bundle(), 5), {"readings": (1, 3), "plans": (4, 5)}
    for which, (first, last) in days.items():
        for ds in Interval(day(first), day(last)):
            _night(nights, getattr(nights, which), ds)
    for which, (first, last) in days.items():
        mine, theirs = (_told(one, getattr(one, which), first, last) for one in (loaded, nights))
        assert mine == theirs


def test_twice_the_same_changes_nothing_and_leaves_nothing_stale(loaded: Bundle) -> None:
    before = [_told(loaded, name, 1, 6) for name in (loaded.readings, loaded.plans)]
    snapshots = [loaded.platform().lake.snapshot(loaded.group(name).table) for name in (loaded.readings, loaded.plans)]
    for only in ("missing", "stale"):
        again = _plan(loaded, loaded.readings, 1, 6, only=only, dependents="compute")
        assert again.computed == 0
        assert set(_states(again).values()) == {"present"}
    made = _bulk(loaded, loaded.readings, 1, 6, "again", only="all")
    assert [len(days) for days in made.values()] == [6]
    assert [_told(loaded, name, 1, 6) for name in (loaded.readings, loaded.plans)] == before
    assert loaded.platform().lake.snapshot(loaded.group(loaded.plans).table) == snapshots[1]
    assert _plan(loaded, loaded.plans, 1, 6, only="stale").computed == 0, "equal rows leave no dependent stale"


def test_a_plan_tells_missing_stale_and_refused_days_apart(new_bundle: Callable[[], Bundle]) -> None:
    bundle = _landed(new_bundle(), 8)
    bundle.path(bundle.readings, day(3)).unlink()
    found = _plan(bundle, bundle.readings, -1, 8, dependents="compute")
    assert _states(found) == {-1: "refused", 0: "refused", 3: "refused"} | dict.fromkeys(
        (1, 2, 4, 5, 6, 7, 8), "missing"
    )
    refused = found.parts[0].refused
    assert refused[day(0)] == f"lies before 2013-03-01, the first of {bundle.readings}"
    assert refused[day(3)] == f"waits for its file, {bundle.readings}/{{ds}}.csv", "alike for all days, so they fold"
    assert _states(found, 1) == dict.fromkeys((1, 2, 3, 4, 8), "missing") | dict.fromkeys((5, 6, 7), "refused")
    assert found.parts[1].refused[day(5)] == f"waits for {bundle.readings} of 2013-03-03"
    with pytest.raises(PartitionsFailed) as failed:
        carry_out(bundle.platform(), found, "bulk")
    assert sorted(failed.value.failures) == [day(-1), day(0), day(3)], "what was asked for; dependents are only shown"
    assert sorted(bundle.published(bundle.plans, day(1), day(9))) == [day(n) for n in (1, 2, 3, 4, 8)]

    bundle.land(bundle.readings, day(3), readings(day(3)))
    bundle.land(bundle.readings, day(6), change(readings(day(6)), 0, value=99.0))
    found = _plan(bundle, bundle.readings, 1, 8, only="stale", dependents="compute")
    assert _states(found) == dict.fromkeys((1, 2, 4, 5, 7, 8), "present") | {3: "missing", 6: "stale"}
    assert found.parts[0].days[5].reason == "its file changed since"
    assert _states(found, 1) == dict.fromkeys((1, 2, 3, 4), "present") | dict.fromkeys((5, 6, 7), "missing") | {
        8: "follows"
    }
    made = carry_out(bundle.platform(), found, "again").made
    assert [[ds.day for ds in days] for days in made.values()] == [[3, 6], [5, 6, 7, 8]]
    assert _plan(bundle, bundle.readings, 1, 8, only="stale", dependents="compute").computed == 0

    bundle.write_readings(READINGS.replace("F.hour(", "1 + F.hour("))
    found = _plan(bundle, bundle.readings, 1, 2, only="stale")
    assert set(_states(found).values()) == {"refused"}
    assert "its code changed under version 1" in found.parts[0].refused[day(1)]
    found = _plan(bundle, bundle.readings, 1, 2, only="stale", reason="hours began at 0")
    assert set(_states(found).values()) == {"stale"}
    assert "the code or specification of" in found.parts[0].days[0].reason
    carry_out(bundle.platform(), found, "restated")
    assert {row["hour"] for row in bundle.rows(bundle.readings, day(1))} == {7, 8}


@pytest.mark.parametrize(("function", "call", "kept"), [(RECORD, 2, 2), (JOB, 3, 4)])
def test_killed_and_resumed_is_what_one_clean_run_leaves(
    loaded: Bundle, new_bundle: Callable[[], Bundle], function: str, call: int, kept: int
) -> None:
    """Inside the second job, between its commit and the record of that; and between the second job and the third."""
    bundle = _landed(new_bundle(), 6)
    found = _plan(bundle, bundle.readings, 1, 6, "stopped", days_per_job=2)
    _killed_before(bundle, found, "stopped", function, call)
    assert sorted(bundle.published(bundle.readings, day(1), day(6))) == [day(n) for n in range(1, kept + 1)]
    rest = _plan(bundle, bundle.readings, 1, 6, "resumed")
    assert rest.parts[0].computed == tuple(day(n) for n in range(kept + 1, 7))
    carry_out(bundle.platform(), rest, "resumed")
    assert _told(bundle, bundle.readings, 1, 6) == _told(loaded, loaded.readings, 1, 6)


def test_a_run_of_all_days_that_was_killed_goes_on_where_it_stopped(new_bundle: Callable[[], Bundle]) -> None:
    bundle = _landed(new_bundle(), 4)
    _bulk(bundle, bundle.readings, 1, 4, "yesterday")
    before = _told(bundle, bundle.readings, 1, 4)
    found = _plan(bundle, bundle.readings, 1, 4, "today", only="all", days_per_job=2)
    _killed_before(bundle, found, "today", JOB, 2)
    made = carry_out(bundle.platform(), found, "today").made  # the task again, with the plan that it was given
    assert made[bundle.readings] == [day(3), day(4)]
    assert {one.run_id for one in bundle.published(bundle.readings, day(1), day(4)).values()} == {"today"}
    assert _told(bundle, bundle.readings, 1, 4) == before


def test_ninety_days_in_three_jobs_alert_nobody_although_each_ends_at_the_frontier(
    new_bundle: Callable[[], Bundle],
) -> None:
    bundle = new_bundle()
    bundle.write_readings(
        expectations="- expect_column_values_to_be_between: {column: value, max_value: 2}\n  severity: warning"
    )
    every = Interval(day(1), day(1) + timedelta(days=89))
    for ds in every:
        bundle.land(bundle.readings, ds, readings(ds))
    jobs: list[str] = []
    found = plan(bundle.platform(), Order(bundle.readings, every.first, every.last), "bulk")
    carry_out(bundle.platform(), found, "bulk", lambda job, _: jobs.append(job))
    assert len(jobs) == 3
    assert len({one.snapshot_id for one in bundle.published(bundle.readings, every.first, every.last).values()}) == 3
    assert sorted(bundle.published(bundle.readings, every.first, every.last)) == list(every)
    assert bundle.platform().ledger.incidents.list_outbox() == []


def _killed_before(bundle: Bundle, found: Plan, run_id: str, function: str, call: int) -> None:
    environment = {**os.environ, **exported(bundle.settings), "PYTHONPATH": str(ROOT)}
    told = TypeAdapter(Plan).dump_json(found).decode()
    command = [sys.executable, str(PROGRAM), told, run_id, function, str(call)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]

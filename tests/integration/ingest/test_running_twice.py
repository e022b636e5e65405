"""The same partitions, however often and in whatever pieces they are computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from include.mlops.errors import NotReady
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.ingest import ingest
from include.mlops.steps.ingestion.publish import publish
from include.mlops.steps.ingestion.validate import validate
from tests.integration.ingest.bundle import Bundle, change, day, plans, readings

pytestmark = pytest.mark.slow
FIRST, LAST = day(9), day(11)  # over the change of clocks


def _landed(bundle: Bundle) -> Bundle:
    bundle.write_readings()
    bundle.write_plans()
    for ds in Interval(day(5), LAST):
        bundle.land(bundle.readings, ds, change(readings(ds), 3, value="odd"))
    for ds in Interval(FIRST, LAST):
        bundle.land(bundle.plans, ds, plans(ds))
    return bundle


def _records(bundle: Bundle) -> list[tuple[Any, ...]]:
    """What the ledger says of both groups, but for the run, the commits and the bundle's own names."""
    published = [
        one
        for name, first in ((bundle.readings, day(5)), (bundle.plans, FIRST))
        for _, one in sorted(bundle.published(name, first, LAST).items())
    ]
    return [(one.ds, one.rows, one.quarantined, one.digest, _made_from(one, bundle)) for one in published]


def _made_from(one: Any, bundle: Bundle) -> Any:
    inputs = json.loads(json.dumps(one.inputs).replace(bundle.mark, ""))
    return [(name, {**told, "snapshot_id": 0, "modified": 0}) for name, told in inputs.items()]


def _set_aside(bundle: Bundle) -> list[tuple[Any, ...]]:
    found = bundle.quarantine(bundle.readings, day(5), LAST)
    return [(row["ds"], row["reason"], row["record"]) for row in found]


@pytest.fixture(scope="module")
def at_once(new_bundle: Callable[[], Bundle]) -> Bundle:
    made = _landed(new_bundle())
    made.run(made.readings, day(5), LAST, "history")
    made.run(made.plans, FIRST, LAST, "history")
    return made


def test_an_interval_equals_its_days_one_by_one_to_the_last_bit(
    at_once: Bundle, new_bundle: Callable[[], Bundle]
) -> None:
    by_day = _landed(new_bundle())
    by_day.run(by_day.readings, day(5), FIRST, "one piece")
    for ds in Interval(day(10), LAST):
        by_day.run(by_day.readings, ds, run_id=f"night of {ds}")
    for ds in Interval(FIRST, LAST):
        by_day.run(by_day.plans, ds, run_id=f"night of {ds}")
    assert by_day.rows(by_day.readings, day(5), LAST) == at_once.rows(at_once.readings, day(5), LAST)
    assert by_day.rows(by_day.plans, FIRST, LAST) == at_once.rows(at_once.plans, FIRST, LAST)
    assert _records(by_day) == _records(at_once)
    assert _set_aside(by_day) == _set_aside(at_once)


def test_a_day_whose_inputs_are_not_published_is_not_staged(at_once: Bundle) -> None:
    at_once.land(at_once.plans, day(14), plans(day(14)))
    with pytest.raises(NotReady, match=f"{at_once.plans} 2013-03-14 waits for {at_once.readings} of 2013-03-12"):
        at_once.run(at_once.plans, day(14))


def test_each_step_twice_leaves_the_same_rows_and_records(at_once: Bundle) -> None:
    """A day in the middle: staged twice, judged twice, and each staging published twice."""
    rows, record = at_once.rows(at_once.plans, FIRST, LAST), _records(at_once)
    platform = at_once.platform()
    group = platform.specs.group(at_once.plans)
    middle = Interval.day(day(10))
    older, newer = ingest(platform, group, middle, "older"), ingest(platform, group, middle, "newer")
    assert older.rows() == newer.rows() == {day(10): 6}
    verdicts = [validate(platform, group, staged) for staged in (older, older, newer)]
    assert verdicts[0] == verdicts[1]
    snapshots = [
        publish(platform, group, staged, verdict).snapshot_id
        for staged, verdict in ((older, verdicts[0]), (older, verdicts[0]), (newer, verdicts[2]), (newer, verdicts[2]))
    ]
    assert (snapshots[0], snapshots[2]) == (snapshots[1], snapshots[3])
    assert platform.lake.snapshot(group.table) == snapshots[3], "publishing again made no commit"
    assert at_once.rows(at_once.plans, FIRST, LAST) == rows
    assert _records(at_once) == record
    publish(platform, group, older, verdicts[0])  # a task that comes back late
    assert platform.lake.snapshot(group.table) == snapshots[3], "and takes nothing back"
    assert at_once.published(at_once.plans, day(10))[day(10)].run_id == "newer", "nor is it recorded as the last word"

"""When each ingest DAG runs, and for which partition: midnights of the data's own zone, both clock changes included.

Each case is asked of the DAG that the scheduler works with: what serialisation leaves of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from include.mlops.settings import ROOT
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.load import load_specs

NEW_YORK = ZoneInfo("America/New_York")
GROUPS = load_specs(ROOT / "include").groups
SPRING, AUTUMN = date(2013, 3, 10), date(2013, 11, 3)
Scheduled = Callable[[FeatureGroup], Any]


@pytest.fixture
def scheduled() -> Scheduled:
    """The DAG of a group as the scheduler reads it back from its database."""
    from airflow.serialization.serialized_objects import DagSerialization

    from include.mlops.orchestration.ingest_dag import ingest_dag

    return lambda group: DagSerialization.from_dict(DagSerialization.to_dict(ingest_dag(group)))


def test_a_partition_is_run_at_its_own_midnight_plus_the_delay(scheduled: Scheduled) -> None:
    for group in GROUPS.values():
        runs = _scheduled(scheduled(_from(group, date(2013, 3, 1))), 280)

        for run in runs:
            tick = datetime.combine(date.fromisoformat(run.partition_key), time(), NEW_YORK)
            due = datetime.combine(tick.date() + timedelta(days=group.schedule.delay), time(), NEW_YORK)
            assert run.run_after.astimezone(UTC) == due.astimezone(UTC)
            assert run.partition_date.astimezone(UTC) == tick.astimezone(UTC)


def test_no_day_is_left_out_or_run_twice_over_both_clock_changes(scheduled: Scheduled) -> None:
    for group in GROUPS.values():
        keys = [run.partition_key for run in _scheduled(scheduled(_from(group, date(2013, 3, 1))), 280)]

        first = date(2013, 3, 1) - timedelta(days=group.schedule.delay)
        assert keys == [str(first + timedelta(days=n)) for n in range(280)]
        assert {str(SPRING), str(AUTUMN)} <= set(keys)


def test_a_night_is_23_hours_long_in_spring_and_25_in_autumn(scheduled: Scheduled) -> None:
    group = _from(GROUPS["scheduled_flights"], date(2013, 3, 1))
    ticks = {run.partition_key: run.run_after for run in _scheduled(scheduled(group), 280)}

    def hours(day: date) -> float:
        return (ticks[str(day + timedelta(days=1))] - ticks[str(day)]).total_seconds() / 3600

    assert [hours(day) for day in (date(2013, 3, 9), SPRING, date(2013, 11, 2), AUTUMN)] == [24, 23, 24, 25]


def test_the_first_and_the_last_tick_are_those_of_the_specification(scheduled: Scheduled) -> None:
    for group in GROUPS.values():
        assert group.schedule.end is not None
        runs = _scheduled(scheduled(group), 1000)

        delay = timedelta(days=group.schedule.delay)
        assert runs[0].partition_key == str(group.schedule.start - delay)
        assert runs[-1].partition_key == str(group.schedule.end - delay)


def test_nights_that_were_missed_are_made_up_one_after_another(scheduled: Scheduled) -> None:
    dag = scheduled(GROUPS["scheduled_flights"])
    first = dag.next_dagrun_info(last_automated_run_info=None)

    second = dag.next_dagrun_info(last_automated_run_info=first)

    assert dag.catchup
    assert dag.max_active_runs == 1
    assert (first.partition_key, second.partition_key) == ("2013-04-05", "2013-04-06"), "years ago, and still made up"


@pytest.mark.parametrize("day", [date(2013, 3, 9), AUTUMN, date(2013, 7, 1)])
def test_a_backfill_runs_the_days_that_were_asked_for_both_ends_included(scheduled: Scheduled, day: date) -> None:
    last = day + timedelta(days=2)
    for group in GROUPS.values():
        asked = (datetime.combine(bound, time(), UTC) for bound in (day, last))  # what the CLI and the UI send

        keys = [run.partition_key for run in scheduled(group).iter_dagrun_infos_between(*asked)]

        assert keys == [str(day), str(day + timedelta(days=1)), str(last)], group.name


def test_a_backfill_may_reach_back_before_the_schedule_began(scheduled: Scheduled) -> None:
    bounds = (datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 3, tzinfo=UTC))

    runs = list(scheduled(GROUPS["flight_outcomes"]).iter_dagrun_infos_between(*bounds))

    assert [run.partition_key for run in runs] == ["2013-02-01", "2013-02-02", "2013-02-03"]


def test_a_run_by_hand_is_the_same_partition_as_the_scheduled_one(scheduled: Scheduled) -> None:
    """Airflow tells by the partition date whether a backfill would run a partition a second time."""
    for group in GROUPS.values():
        dag = scheduled(_from(group, date(2013, 3, 1)))
        for run in _scheduled(dag, 280):
            assert dag.timetable.resolve_partition_date(run.partition_key) == run.partition_date


@pytest.mark.parametrize("key", ["5th of May", "2013-4-31", "", "2013-05-05T00:00:00"])
def test_airflow_refuses_a_key_that_is_no_day(scheduled: Scheduled, key: str) -> None:
    from airflow.exceptions import InvalidPartitionKeyError

    dag = scheduled(GROUPS["flight_outcomes"])

    with pytest.raises(InvalidPartitionKeyError):
        dag.timetable.resolve_partition_date(key)


def _scheduled(dag: Any, most: int) -> list[Any]:
    """The first `most` runs that the scheduler would make."""
    runs: list[Any] = []
    while len(runs) < most and (run := dag.next_dagrun_info(last_automated_run_info=runs[-1] if runs else None)):
        runs.append(run)
    return runs


def _from(group: FeatureGroup, start: date) -> FeatureGroup:
    return group.model_copy(update={"schedule": group.schedule.model_copy(update={"start": start})})

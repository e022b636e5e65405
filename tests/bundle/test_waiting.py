"""Waiting for a partition: the decision in the task, the wait in the triggerer, on real files and a real ledger."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from include.mlops.errors import NotReady, ServiceUnavailable, WrongTrigger
from include.mlops.ledger.publications import Publication
from include.mlops.orchestration import waiting
from include.mlops.orchestration.waiting import PartitionReady, WaitForPartition, pause
from tests.bundle.outage import Outage

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

Contexts = Callable[..., dict[str, Any]]
OUTCOMES, FLIGHTS = "flight_outcomes", "scheduled_flights"
LONG_AGO = "2013-04-03"


@pytest.fixture
def wait(rooms: Platform) -> Callable[[str], WaitForPartition]:
    """The operator of a group, with pauses that a test can sit out."""
    return lambda group: WaitForPartition(task_id="wait", group=rooms.specs.group(group), poll_seconds=0.05)


def _land(rooms: Platform, group: str, ds: str) -> Path:
    file = Path(rooms.settings.landing) / rooms.specs.group(group).path(date.fromisoformat(ds))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("carrier\nUA\n")
    return file


def _publish(rooms: Platform, group: str, first: date, last: date) -> None:
    table = rooms.specs.group(group).table
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rooms.ledger.publications.record(Publication(table, ds, 1, "meaning", "run") for ds in days)


def _deferred(operator: WaitForPartition, context: dict[str, Any]) -> Any:
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    return deferred.value


def _fired(trigger: PartitionReady, meanwhile: Callable[[], None] | None = None) -> list[str]:
    """What the trigger's event says; `meanwhile` runs once the trigger has begun to wait."""

    async def first() -> list[str]:
        waiting_ = asyncio.ensure_future(anext(aiter(trigger.run())))
        if meanwhile:
            await asyncio.sleep(0.5)
            assert not waiting_.done(), "it fired before anything was there"
            meanwhile()
        event = await asyncio.wait_for(waiting_, 30)
        payload: list[str] = event.payload
        return payload

    return asyncio.run(first())


class TestTheTask:
    def test_goes_on_at_once_where_everything_is_there(self, rooms: Platform, wait: Any, context: Contexts) -> None:
        _land(rooms, OUTCOMES, LONG_AGO)

        assert wait(OUTCOMES).execute(context("ingest_flight_outcomes", "wait", LONG_AGO)) is None

    def test_a_night_that_is_made_up_waits_from_its_own_start(self, wait: Any, context: Contexts) -> None:
        started = datetime.now(UTC)

        deferred = _deferred(wait(OUTCOMES), context("ingest_flight_outcomes", "wait", LONG_AGO, start_date=started))

        until = datetime.fromisoformat(deferred.trigger.deadline)
        assert until == started + timedelta(hours=12), "the deadline of the specification"
        assert deferred.method_name == "resume"
        assert deferred.timeout > timedelta(hours=12), "or a triggerer that is down would be waited for for ever"

    def test_a_night_that_runs_on_time_waits_from_its_tick(self, rooms: Platform, wait: Any, context: Contexts) -> None:
        spec, day = rooms.specs.group(FLIGHTS), datetime.now(UTC).date() + timedelta(days=2)
        tick = datetime.combine(day, time(), ZoneInfo(spec.timezone))

        deferred = _deferred(wait(FLIGHTS), context("ingest_scheduled_flights", "wait", str(day)))

        assert datetime.fromisoformat(deferred.trigger.deadline) == tick + timedelta(hours=spec.schedule.deadline)

    @pytest.mark.parametrize("run_type", ["backfill", "manual"])
    def test_a_past_day_asked_for_by_hand_fails_at_once(self, wait: Any, context: Contexts, run_type: str) -> None:
        with pytest.raises(
            NotReady, match=rf"flight_outcomes {LONG_AGO}, past its deadline of 12 h, waits for the file"
        ):
            wait(OUTCOMES).execute(context("ingest_flight_outcomes", "wait", LONG_AGO, run_type=run_type))

    def test_names_each_partition_that_it_reads_and_lacks(self, rooms: Platform, wait: Any, context: Contexts) -> None:
        _land(rooms, FLIGHTS, "2013-04-05")
        _publish(rooms, OUTCOMES, date(2013, 3, 7), date(2013, 4, 2))
        _publish(rooms, "airport_weather", date(2013, 1, 1), date(2013, 4, 5))

        with pytest.raises(NotReady) as error:
            wait(FLIGHTS).execute(context("ingest_scheduled_flights", "wait", "2013-04-05", run_type="backfill"))

        assert error.value.missing == ("flight_outcomes of 2013-04-03",)

    def test_a_day_before_the_first_is_refused(self, wait: Any, context: Contexts) -> None:
        with pytest.raises(WrongTrigger, match=r"expected a day from 2013-01-30 on.*found 2013-01-29"):
            wait(FLIGHTS).execute(context("ingest_scheduled_flights", "wait", "2013-01-29"))

    def test_a_future_day_asked_for_by_hand_does_not_block_the_nights_before_it(
        self, rooms: Platform, wait: Any, context: Contexts
    ) -> None:
        future = str(datetime.now(UTC).date() + timedelta(days=3650))

        with pytest.raises(WrongTrigger, match="expected a day that is due, found"):
            wait(OUTCOMES).execute(context("ingest_flight_outcomes", "wait", future, run_type="manual"))

        _land(rooms, OUTCOMES, future)
        assert wait(OUTCOMES).execute(context("ingest_flight_outcomes", "wait", future, run_type="manual")) is None

    def test_waits_on_while_the_ledger_does_not_answer(self, rooms: Platform, wait: Any, context: Contexts) -> None:
        with Outage(rooms):
            deferred = _deferred(wait(FLIGHTS), context("ingest_scheduled_flights", "wait", "2013-04-05"))

        assert deferred.trigger.group == FLIGHTS

    def test_a_lost_ledger_past_the_deadline_is_tried_again_rather_than_called_late(
        self, rooms: Platform, wait: Any, context: Contexts
    ) -> None:
        past = context("ingest_scheduled_flights", "wait", "2013-04-05", run_type="backfill")

        with Outage(rooms), pytest.raises(ServiceUnavailable):
            wait(FLIGHTS).execute(past)

    def test_goes_on_once_the_trigger_found_everything(self, wait: Any, context: Contexts) -> None:
        assert wait(OUTCOMES).resume(context("ingest_flight_outcomes", "wait", LONG_AGO), []) is None

    def test_is_late_where_the_trigger_gave_up(self, wait: Any, context: Contexts) -> None:
        with pytest.raises(
            NotReady, match=f"flight_outcomes {LONG_AGO}, past its deadline of 12 h, waits for the file x"
        ):
            wait(OUTCOMES).resume(context("ingest_flight_outcomes", "wait", LONG_AGO), ["the file x"])


class TestAGroupThatGoesOnWithoutLateInputs:
    @pytest.fixture
    def goes_on(self, rooms: Platform) -> WaitForPartition:
        """All of its inputs are there but the outcomes of the last two days."""
        _publish(rooms, OUTCOMES, date(2013, 3, 7), date(2013, 4, 1))
        _publish(rooms, "airport_weather", date(2013, 1, 1), date(2013, 4, 5))
        group = rooms.specs.group(FLIGHTS)
        schedule = group.schedule.model_copy(update={"late": "go_on"})
        return WaitForPartition(task_id="wait", group=group.model_copy(update={"schedule": schedule}))

    def test_says_past_the_deadline_what_it_goes_on_without(
        self, rooms: Platform, goes_on: WaitForPartition, context: Contexts
    ) -> None:
        _land(rooms, FLIGHTS, "2013-04-05")
        lacking = ["flight_outcomes of 2013-04-02", "flight_outcomes of 2013-04-03"]
        past = context("ingest_scheduled_flights", "wait", "2013-04-05", run_type="backfill")

        assert goes_on.execute(past) == lacking
        assert goes_on.resume(past, lacking) == lacking

    def test_waits_until_the_deadline(self, rooms: Platform, goes_on: WaitForPartition, context: Contexts) -> None:
        _land(rooms, FLIGHTS, "2013-04-05")

        _deferred(goes_on, context("ingest_scheduled_flights", "wait", "2013-04-05"))

    def test_never_goes_on_without_its_file(self, goes_on: WaitForPartition, context: Contexts) -> None:
        past = context("ingest_scheduled_flights", "wait", "2013-04-05", run_type="backfill")

        with pytest.raises(NotReady, match=r"waits for the file .*2013-04-05.csv, flight_outcomes of 2013-04-02"):
            goes_on.execute(past)


@pytest.mark.usefixtures("rooms")
class TestTheTrigger:
    def test_is_the_same_after_its_way_through_airflows_database(self) -> None:
        from airflow._shared.module_loading import import_string
        from airflow.sdk.serde import deserialize, serialize

        before = PartitionReady(OUTCOMES, LONG_AGO, "2013-04-05T16:00:00+00:00", 0.05)
        path, arguments = before.serialize()

        after = import_string(path)(**deserialize(serialize(arguments)))

        assert type(after) is PartitionReady
        assert after.serialize() == before.serialize()

    def test_fires_when_the_file_lands(self, rooms: Platform) -> None:
        assert _fired(_trigger(OUTCOMES, hours=1), lambda: _land(rooms, OUTCOMES, LONG_AGO)) == []

    def test_fires_when_the_last_partition_that_it_reads_is_published(self, rooms: Platform) -> None:
        _land(rooms, FLIGHTS, LONG_AGO)
        _publish(rooms, "airport_weather", date(2013, 1, 1), date(2013, 4, 5))
        _publish(rooms, OUTCOMES, date(2013, 1, 1), date(2013, 3, 31))

        late = _trigger(FLIGHTS, hours=1)

        assert _fired(late, lambda: _publish(rooms, OUTCOMES, date(2013, 4, 1), date(2013, 4, 2))) == []

    def test_says_at_the_deadline_what_is_missing(self) -> None:
        (missing,) = _fired(_trigger(OUTCOMES, hours=0.2 / 3600))

        assert missing.startswith("the file ")
        assert missing.endswith(f"flight_outcomes/{LONG_AGO}.csv")

    def test_survives_a_ledger_that_is_lost_for_a_while(self, rooms: Platform) -> None:
        _land(rooms, FLIGHTS, LONG_AGO)
        _publish(rooms, "airport_weather", date(2013, 1, 1), date(2013, 4, 5))
        _publish(rooms, OUTCOMES, date(2013, 1, 1), date(2013, 4, 2))
        outage = Outage(rooms)

        with outage:
            assert _fired(_trigger(FLIGHTS, hours=1), outage.end) == []

    def test_a_ledger_that_stays_lost_is_named_at_the_deadline(self, rooms: Platform) -> None:
        with Outage(rooms):
            (missing,) = _fired(_trigger(FLIGHTS, hours=0.3 / 3600))

        assert "the ledger" in missing
        assert "did not answer" in missing

    def test_looks_from_a_thread_so_that_other_triggers_run_on(
        self, rooms: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked: list[bool] = []
        real = waiting.lacking

        def seen(*arguments: Any) -> list[str]:
            looked.append(threading.current_thread() is threading.main_thread())
            return real(*arguments)

        monkeypatch.setattr(waiting, "lacking", seen)

        _fired(_trigger(OUTCOMES, hours=1), lambda: _land(rooms, OUTCOMES, LONG_AGO))

        assert looked
        assert not any(looked)


@pytest.mark.parametrize(
    ("waited", "left", "seconds"),
    [(0, 3600, 2), (30, 3600, 2), (100, 3600, 5), (3600, 3600, 60), (36_000, 30, 30), (0, 0.5, 0.5)],
)
def test_looks_less_often_the_longer_it_waits_and_at_the_deadline(waited: float, left: float, seconds: float) -> None:
    assert pause(2, timedelta(seconds=waited), timedelta(seconds=left)) == seconds


def _trigger(group: str, hours: float) -> PartitionReady:
    return PartitionReady(group, LONG_AGO, (datetime.now(UTC) + timedelta(hours=hours)).isoformat(), 0.05)

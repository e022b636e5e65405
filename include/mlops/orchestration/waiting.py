"""Waiting for a partition's file and inputs without holding a worker slot: the wait runs in the triggerer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.mlops.errors import NotReady, ServiceUnavailable, WrongTrigger
from include.mlops.orchestration.defaults import Context, partition, platform
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval, due

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)
LONGEST_PAUSE = 60.0  # seconds between two looks
GRACE = timedelta(minutes=15)  # after the deadline, for a triggerer that is late itself or down


def lacking(rooms: Platform, group_name: str, ds: str) -> list[str]:
    """What the partition still waits for. Holds a connection only while it looks.

    Raises ServiceUnavailable or OSError where the ledger or the landing store does not answer.
    """
    from include.mlops.steps.inputs.readiness import missing

    with closing(rooms.ledger):
        return missing(rooms, rooms.specs.group(group_name), Interval.day(ds))


def not_arrived(rooms: Platform, group_name: str, ds: str) -> bool:
    """Whether the partition's own rows have not come. Raises ServiceUnavailable or OSError."""
    from include.mlops.steps.inputs.readiness import missing_at_source

    return bool(missing_at_source(rooms, rooms.specs.group(group_name), Interval.day(ds)))


def lacking_so_far(rooms: Platform, group_name: str, ds: str) -> list[str]:
    """As `lacking`, for a wait that goes on: an answer that does not come is one more thing to wait for."""
    try:
        return lacking(rooms, group_name, ds)
    except (ServiceUnavailable, OSError) as error:
        log.warning("%s %s: cannot look what is there: %s", group_name, ds, error)
        return [f"an answer ({error})"]


class PartitionReady(BaseTrigger):
    """Fires with an empty list once nothing is missing, or with what is missing at the deadline (UTC, ISO).

    It looks every `poll_seconds` at first, and less often the longer it has waited: a file is noticed within a
    twentieth of the time that it was waited for.
    """

    def __init__(self, group: str, ds: str, deadline: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.group, self.ds, self.deadline, self.poll_seconds = group, ds, deadline, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "group": self.group,
            "ds": self.ds,
            "deadline": self.deadline,
            "poll_seconds": self.poll_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        until, began = datetime.fromisoformat(self.deadline), datetime.now(UTC)
        # In a thread: imports, files and the ledger would hold up all other triggers of this process.
        rooms = await asyncio.to_thread(platform)
        while True:
            missing = await asyncio.to_thread(lacking_so_far, rooms, self.group, self.ds)
            now = datetime.now(UTC)
            if not missing or now >= until:
                break
            await asyncio.sleep(pause(self.poll_seconds, now - began, until - now))
        yield TriggerEvent(missing)  # type: ignore[no-untyped-call]


def pause(shortest: float, waited: timedelta, left: timedelta) -> float:
    """Seconds until the next look; the last one falls on the deadline."""
    return min(max(shortest, waited.total_seconds() / 20), LONGEST_PAUSE, left.total_seconds())


class WaitForPartition(BaseOperator):
    """Succeeds once the file of the partition has landed and all that it reads is published.

    A scheduled run waits for the group's deadline, counted from its tick, or from its own start where that is later (a
    night that is made up). A backfill or a run by hand has the deadline of its own day, so that it fails at once for
    what is missing from the past. Past the deadline a group whose schedule says `late: go_on` goes on without the
    partitions that it reads, and returns them. Raises NotReady, and WrongTrigger for days that the group lacks.
    """

    def __init__(self, *, group: FeatureGroup, poll_seconds: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_name = group.name
        self.first_partition = group.first_partition
        self.deadline_hours = group.schedule.deadline
        self.zone = group.timezone
        self.delay_days = group.schedule.delay
        self.poll_seconds = poll_seconds
        self.goes_on = group.schedule.late == "go_on"

    def execute(self, context: Context) -> list[str] | None:
        ds = partition(context)
        if ds < self.first_partition:
            raise WrongTrigger(
                f"expected a day from {self.first_partition} on, the first of {self.group_name}, found {ds}"
            )
        run, tick, now = context["dag_run"], self._tick(ds), datetime.now(UTC)
        deadline = self._deadline(tick, run, now)
        look = lacking if deadline <= now else lacking_so_far
        missing = look(platform(), self.group_name, str(ds))
        if not missing:
            return None
        if deadline <= now:
            return self._without(ds, missing)
        if run.run_type == "manual" and tick > now:
            then = tick.isoformat(timespec="minutes")
            raise WrongTrigger(f"expected a day that is due, found {ds}, which is due {then}; trigger again then")
        until = deadline.isoformat(timespec="minutes")
        self.log.info("%s %s waits until %s for %s", self.group_name, ds, until, ", ".join(missing))
        return self.defer(
            trigger=PartitionReady(self.group_name, str(ds), deadline.isoformat(), self.poll_seconds),
            method_name="resume",
            timeout=deadline - now + GRACE,
        )

    def resume(self, context: Context, event: list[str]) -> list[str] | None:
        return self._without(partition(context), event) if event else None

    def _without(self, ds: date, missing: list[str]) -> list[str]:
        """What the run goes on without. Raises NotReady where it may not."""
        if not self.goes_on or not_arrived(platform(), self.group_name, str(ds)):
            raise NotReady(self._overdue(ds), missing)
        self.log.warning("%s %s goes on without %s", self.group_name, ds, ", ".join(missing))
        return missing

    def _tick(self, ds: date) -> datetime:
        return due(ds, self.delay_days, self.zone)

    def _deadline(self, tick: datetime, run: Any, now: datetime) -> datetime:
        begins = max(tick, run.start_date or now) if run.run_type == "scheduled" else tick
        return begins + timedelta(hours=self.deadline_hours)

    def _overdue(self, ds: date) -> str:
        return f"{self.group_name} {ds}, past its deadline of {self.deadline_hours:g} h,"


class WaitForLanded(WaitForPartition):
    """As its base; skipped where the day was published from that very file meanwhile."""

    def execute(self, context: Context) -> list[str] | None:
        from include.mlops.steps.ingestion.landings import published_from_this_file

        ds, rooms = partition(context), platform()
        if published_from_this_file(rooms, rooms.specs.group(self.group_name), ds):
            raise AirflowSkipException(f"{ds} is published from this very file")
        return super().execute(context)

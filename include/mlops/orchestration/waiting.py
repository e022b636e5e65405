"""Waiting for a partition's file and inputs without holding a worker slot: the wait runs in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.mlops.errors import NotReady
from include.mlops.orchestration.defaults import Context, partition
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval


def lacking(group_name: str, ds: str) -> list[str]:
    """What the partition still waits for."""
    from include.mlops.steps.platform import Platform
    from include.mlops.steps.readiness import missing

    platform = Platform()
    try:
        return missing(platform, platform.specs.group(group_name), Interval.day(ds))
    finally:
        platform.ledger.close()


class PartitionReady(BaseTrigger):
    """Fires with an empty list once nothing is missing, or with what is missing once the deadline (UTC, ISO) has passed."""

    def __init__(self, group: str, ds: str, deadline: str, poll_seconds: float) -> None:
        super().__init__()
        self.group, self.ds, self.deadline, self.poll_seconds = group, ds, deadline, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {"group": self.group, "ds": self.ds, "deadline": self.deadline, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        until = datetime.fromisoformat(self.deadline)
        while (missing := await asyncio.to_thread(lacking, self.group, self.ds)) and datetime.now(UTC) < until:
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent(missing)


class WaitForPartition(BaseOperator):
    """Succeeds once the file of the partition has landed and all that it reads is published.

    The deadline counts from the partition's tick, or from the start of a run that comes later than its tick; a backfill
    fails at once for what is missing after the deadline of its own day. Raises NotReady.
    """

    def __init__(self, *, group: FeatureGroup, poll_seconds: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_name = group.name
        self.deadline_hours = group.schedule.deadline
        self.zone = group.timezone
        self.delay_days = group.schedule.delay
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> None:  # type: ignore[override]
        ds = partition(context)
        missing = lacking(self.group_name, str(ds))
        if not missing:
            return
        tick = datetime.combine(ds + timedelta(days=self.delay_days), time(), ZoneInfo(self.zone))
        run = context["dag_run"]
        begins = tick if run.run_type == "backfill" else max(tick, run.queued_at or run.start_date)
        deadline = begins.astimezone(UTC) + timedelta(hours=self.deadline_hours)
        if deadline <= datetime.now(UTC):
            raise NotReady(f"{self.group_name} {ds}", missing)
        self.log.info("%s %s waits until %s for %s", self.group_name, ds, deadline.isoformat(timespec="minutes"), ", ".join(missing))
        self.defer(
            trigger=PartitionReady(self.group_name, str(ds), deadline.isoformat(), self.poll_seconds), method_name="resume"
        )

    def resume(self, context: Context, event: list[str]) -> None:
        if event:
            raise NotReady(f"{self.group_name} {partition(context)} reached its deadline of {self.deadline_hours:g} h and", event)

"""Who is told when a run fails, and that it works again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from include.mlops.errors import NotReady, WrongTrigger
from include.mlops.orchestration.defaults import Context, partition, platform, run_url
from include.mlops.policy.alerting import FAILED, LATE, Severity
from include.mlops.spec.model import Alerts

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)
WAIT = "wait"  # the task that waits, in each ingest DAG
COMMON = Alerts()  # the channel of the settings, and nobody in particular
ONCE_THERE = "Once that is there, clear the run to go on."
KILLED = (
    "It ended without an error of its own: it was killed (often for want of memory), or marked failed by hand. "
    "Its log and the machine's say more; clear the run to try again."
)


def day_of_run(context: Context) -> date:
    """The day on which it ran, for DAGs whose runs have no data date."""
    run = context.get("dag_run")
    when: datetime = run.run_after if run else datetime.now(UTC)
    return when.date()


@dataclass(frozen=True)
class Watch:
    """The alerts of one DAG's runs: one incident for what failed, one for what was late, until a run succeeds.

    A run whose `day` lies before the newest published partition of `dataset` tells nothing, and neither does one that
    was triggered by hand with values that it cannot use: whoever did that sees the error.
    """

    dag_id: str
    dataset: str | None = None
    severity: Severity = "critical"
    told: Alerts = COMMON
    day: Callable[[Context], date] = partition
    parts: tuple[str, ...] = ()
    """Tasks with incidents of their own: what fails in one is not mended by what succeeds beside it."""
    task_id: str = ""
    """The part that this watches; empty for all other tasks."""

    def part(self, task_id: str) -> Watch:
        return replace(self, task_id=task_id, parts=())

    @property
    def subject(self) -> str:
        return f"{self.dag_id}.{self.task_id}" if self.task_id else self.dag_id

    def task_failed(self, context: Context) -> None:
        """Failure callback of each task; Airflow calls it after the last try only."""
        ds = self._day(context)
        if ds is None:
            return
        rooms, error = platform(), context.get("exception")
        if not self._acts(rooms, ds):
            return
        if isinstance(error, NotReady):
            self._send(rooms, context, ds, LATE, f"{error}. {ONCE_THERE}")
        else:
            self._send(rooms, context, ds, FAILED, f"{type(error).__name__}: {error}" if error else KILLED)

    def run_failed(self, context: Context) -> None:
        """Failure callback of the DAG: tells what no task could tell, since it was killed.

        Airflow runs no callback of a task that is killed on its last try, and this one in any case, later than the
        callback of a task.
        """
        ds = self._day(context)
        if ds is None:
            return
        rooms = platform()
        if self._acts(rooms, ds) and not self._told(rooms, ds):
            self._send(rooms, context, ds, FAILED, KILLED)

    def recovered(self, context: Context) -> None:
        """Success callback of a DAG's last task: what had failed or was late works again."""
        rooms, ds = platform(), self.day(context)
        for kind in (FAILED, LATE):
            rooms.alerts.recover(kind, self.subject, ds, f"{ds} went through.")

    def _day(self, context: Context) -> date | None:
        try:
            return self.day(context)
        except WrongTrigger as error:
            log.info("no alert for a run that was started by hand: %s", error)
            return None

    def _acts(self, rooms: Platform, ds: date) -> bool:
        acts = self.dataset is None or rooms.at_frontier(self.dataset, ds)
        if not acts:
            log.info("%s lies behind the frontier of %s: no alert", ds, self.dataset)
        return acts

    def _told(self, rooms: Platform, ds: date) -> bool:
        watches = (self, *map(self.part, self.parts))
        open_ = [rooms.ledger.incidents.open(kind, watch.subject) for kind in (FAILED, LATE) for watch in watches]
        return any(incident and incident.first_ds <= ds <= incident.last_ds for incident in open_)

    def _send(self, rooms: Platform, context: Context, ds: date, kind: str, summary: str) -> None:
        from include.mlops.alerts.alert import Alert

        ti = context.get("ti")
        what = f"{self.dag_id}: {ti.task_id}" if ti else self.dag_id
        lacks = "waited too long" if ti and ti.task_id == WAIT else "lacks what it reads"
        rooms.alerts.send(
            Alert(
                kind=kind,
                subject=self.subject,
                ds=ds,
                severity=self.severity,
                title=f"{what} {lacks if kind == LATE else 'failed'} for {ds}",
                summary=summary[:2500],
                numbers={"Try": str(ti.try_number)} if ti else {},
                links={"Airflow task" if ti else "Airflow run": run_url(context)},
                channel=self.told.channel,
                on_call=self.told.on_call,
            )
        )

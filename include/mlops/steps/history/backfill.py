"""Backfill: carry out a plan, chunk by chunk. What is done stands in the ledger, so a run that was stopped goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from include.mlops.errors import ExportFailed, MlopsError, PartitionsFailed
from include.mlops.policy.backfill import Order, Part, Plan, chunks
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import group_meaning
from include.mlops.steps.history.backfill_plan import Piece, consumers, judged
from include.mlops.steps.history.restatement import restate_dependents
from include.mlops.steps.ingestion.publish import ingest_interval
from include.mlops.steps.monitoring.performance import measure
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring.export import export
from include.mlops.steps.scoring.score import score

log = logging.getLogger(__name__)
Tell = Callable[[str, int], None]


@dataclass(frozen=True)
class Backfilled:
    """Days made, by what they are of (`plans`, `scores of late`, `performance of late`)."""

    made: dict[str, list[date]]


def carry_out(platform: Platform, plan: Plan, run_id: str, tell: Tell = lambda *_: None) -> Backfilled:
    """Compute what the plan says and is not done yet; `tell` hears of each job, and how many partitions are behind it.

    Whatever the days, nothing alerts. A day that fails does not hold up the others. Raises PartitionsFailed after all
    else was made, with those that failed and those of what was asked for that the plan refused.
    """
    rooms = platform.for_history()
    made: dict[str, list[date]] = {}
    failures = dict(plan.parts[0].refused)
    done = 0
    for part in plan.parts:
        days = _still_to_make(rooms, part, plan.order, run_id, failures)
        failed: dict[date, str] = {}
        for number, run in enumerate(found := chunks(days, plan.order.days_per_job), 1):
            interval = Interval(*run)
            log.info("job %d of %d: %s %s", number, len(found), part.what, interval)
            tell(f"{part.what} {interval}", done)
            done += len(interval)
            failed |= _made(rooms, part, interval, plan.order, run_id)
        _add(failures, part, failed)
        _add(failures, part, _exported(rooms, part, run_id))
        made[part.what] = [ds for ds in days if ds not in failed]
    first = plan.parts[0]
    if plan.order.dependents == "start" and first.kind == "group" and first.computed:
        _add(failures, first, _restated(rooms, plan.order, run_id))
    if failures:
        raise PartitionsFailed(f"backfill {plan.order.what}", failures)
    return Backfilled(made)


def to_announce(platform: Platform, plan: Plan, run_id: str) -> list[date]:
    """Days of the group that this run published and that a DAG which scores or measures by its events lacks.

    A day that no version is live for, or whose scores are those that would be made, is not among them.
    """
    part, order = plan.parts[0], plan.order
    if part.kind != "group" or order.dependents != "start":
        return []
    group, interval = platform.specs.group(part.name), Interval(order.first, order.last)
    published = platform.ledger.publications.over(group.table, interval)
    mine = {ds for ds, one in published.items() if one.run_id == run_id}
    nightly = Order(group.name, order.first, order.last, only="stale")
    wanted = {
        ds
        for piece in consumers(platform, group, interval)
        for ds in judged(platform, piece, nightly, run_id, {}).computed
    }
    return sorted(mine & wanted)


def _still_to_make(platform: Platform, part: Part, order: Order, run_id: str, failures: dict[date, str]) -> list[date]:
    """The planned days that are still to be made; those that an earlier part's failure leaves without inputs fail."""
    if not part.computed:
        return []
    hull = Interval(part.computed[0], part.computed[-1])
    now = judged(platform, Piece(part.kind, part.name, hull), order, run_id, {})
    _add(failures, part, {ds: why for ds, why in now.refused.items() if ds in part.computed})
    return sorted(set(now.computed) & set(part.computed))


def _made(platform: Platform, part: Part, interval: Interval, order: Order, run_id: str) -> dict[date, str]:
    """Make one chunk; the days that failed, each with the reason. Raises what trying again can help."""
    try:
        if part.kind == "group":
            _ingest(platform, part.name, interval, order, run_id)
        elif part.kind == "scores":
            score(platform, platform.specs.model(part.name), interval, run_id, version=order.version)
        else:
            measure(platform, platform.specs.model(part.name), interval, run_id)
    except PartitionsFailed as error:
        return error.failures
    except MlopsError as error:
        if error.transient:
            raise
        return dict.fromkeys(interval, error.line())
    return {}


def _ingest(platform: Platform, name: str, interval: Interval, order: Order, run_id: str) -> None:
    """As a native backfill does: of a past day, what was not there by its deadline is gone without if that may be."""
    group = platform.specs.group(name)
    known = platform.ledger.publications.meaning(group.table)
    restated = order.reason if known not in (None, group_meaning(group)) else ""
    ingest_interval(platform, group, interval, run_id, restated=restated, overdue=True)


def _exported(platform: Platform, part: Part, run_id: str) -> dict[date, str]:
    """Write scores where the model's exports say, those of a run that was stopped before it did included; days that
    are there as published are left alone.
    """
    if part.kind != "scores" or not part.days:
        return {}
    first, last = part.days[0].ds, part.days[-1].ds
    try:
        export(platform, platform.specs.model(part.name), Interval(first, last), run_id)
    except ExportFailed as error:
        return {last: error.line()}
    return {}


def _restated(platform: Platform, order: Order, run_id: str) -> dict[date, str]:
    """As after a night: what says `restatement: recompute` is made again, but for what events start."""
    group, interval = platform.specs.group(order.what), Interval(order.first, order.last)
    try:
        restate_dependents(platform, group, interval, run_id, told=True)
    except PartitionsFailed as error:
        return error.failures
    return {}


def _add(failures: dict[date, str], part: Part, failed: dict[date, str]) -> None:
    for ds, why in failed.items():
        failures[ds] = "; ".join(filter(None, [failures.get(ds), f"{part.what}: {why}"]))

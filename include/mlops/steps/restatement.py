"""Restatement: what was made from partitions that were published again is made again, where the specification says so.

Only what no longer equals what would be made now is touched, so running this twice does nothing the second time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

from include.mlops.errors import MlopsError, PartitionsFailed
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.dependents import in_order, in_runs, reached
from include.mlops.steps.freshness import overtaken, stale_performance
from include.mlops.steps.monitor import monitor
from include.mlops.steps.performance import measure
from include.mlops.steps.platform import Platform
from include.mlops.steps.publish import ingest_interval
from include.mlops.steps.score import score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restated:
    """Days by what they are of (`plans`, `scores of late`): made again, left for somebody, or failed."""

    made: dict[str, list[date]] = field(default_factory=dict)
    left: dict[str, list[date]] = field(default_factory=dict)
    failures: dict[date, str] = field(default_factory=dict)


def restate_dependents(
    platform: Platform, group: FeatureGroup, interval: Interval, run_id: str, *, told: bool = False
) -> Restated:
    """Make again what was made from `interval` of `group`, directly and through others, where its specification says
    `restatement: recompute`; groups before scores before performance.

    `told`: events have started the DAGs that score and measure those very days, so they are not done here. Raises
    PartitionsFailed, after all else was made, where some days could not be.
    """
    work = _Work(platform, run_id, Restated())
    changed = {group.name: interval}
    for reader in in_order(platform.specs):
        hulls = [reached(reader, name, changed[name]) for name in reader.reads if name in changed]
        if hulls and (days := work.group(reader, _hull(day for hull in hulls for day in hull))):
            changed[reader.name] = _hull(days)
    for model in platform.specs.models.values():
        work.model(model, changed, told_of=(group.name, interval) if told else None)
    if work.done.failures:
        raise PartitionsFailed(f"restate what was made from {group.name} {interval}", work.done.failures)
    return work.done


def remeasure(platform: Platform, model: Model, interval: Interval, run_id: str) -> list[date]:
    """Measure performance again where it was measured before `interval` was scored anew."""
    if model.restatement != "recompute":
        return []
    days = sorted(stale_performance(platform, model, interval))
    for run in in_runs(days):
        measure(platform, model, run, run_id)
    return days


@dataclass(frozen=True)
class _Work:
    platform: Platform
    run_id: str
    done: Restated

    def group(self, group: FeatureGroup, interval: Interval) -> list[date]:
        """The days of `group` that were made again."""

        def again(run: Interval) -> None:
            ingest_interval(self.platform, group, run, self.run_id, overdue=True)  # they are published already

        found = overtaken(self.platform, group, interval)
        return self._again(group.name, found, again, recompute=group.restatement == "recompute")

    def model(self, model: Model, changed: dict[str, Interval], told_of: tuple[str, Interval] | None) -> None:
        recompute = model.restatement == "recompute"
        inputs = [changed[name] for name in {model.features.group, model.label.group} if name in changed]
        if not inputs:
            return
        interval = _hull(day for one in inputs for day in one)
        scores = _but(overtaken(self.platform, model, interval), model.features.group, told_of)
        self._again(f"scores of {model.name}", scores, lambda run: self._score(model, run), recompute=recompute)
        measured = _but(stale_performance(self.platform, model, interval), model.label.group, told_of)

        def again(run: Interval) -> None:
            measure(self.platform, model, run, self.run_id)

        self._again(f"performance of {model.name}", measured, again, recompute=recompute)

    def _score(self, model: Model, run: Interval) -> None:
        """By the version that scored each day before: the one live for it, unless somebody named another."""
        before = self.platform.ledger.publications.over(model.predictions, run)
        watched = {verdict.ds for verdict in self.platform.ledger.monitoring.verdicts(model.name, "drift", run.last)}
        for version in sorted({one.version for one in before.values() if one.version}):
            for part in in_runs(ds for ds, one in before.items() if one.version == version):
                score(self.platform, model, part, self.run_id, version=version)
        for ds in run:
            if ds in watched:
                monitor(self.platform, model, ds, self.run_id)

    def _again(
        self, what: str, days: Iterable[date], again: Callable[[Interval], None], *, recompute: bool
    ) -> list[date]:
        """Do it for each run of days, keep what failed, and return the days that went through."""
        days = sorted(days)
        if not days:
            return []
        if not recompute:
            self.done.left[what] = days
            log.info("%s: %d day(s) are out of date and left: restatement is `mark`", what, len(days))
            return []
        failed: dict[date, str] = {}
        for run in in_runs(days):
            try:
                again(run)
            except PartitionsFailed as error:
                failed |= error.failures
            except MlopsError as error:
                if error.transient:
                    raise
                failed |= dict.fromkeys(run, error.line())
        for ds, told in failed.items():
            self.done.failures[ds] = "; ".join(filter(None, [self.done.failures.get(ds), f"{what}: {told}"]))
        self.done.made[what] = [ds for ds in days if ds not in failed]
        return self.done.made[what]


def _but(days: Iterable[date], of: str, told_of: tuple[str, Interval] | None) -> list[date]:
    """Without those that the event of `told_of` has started already."""
    return [ds for ds in days if not (told_of and told_of[0] == of and ds in told_of[1])]


def _hull(days: Iterable[date]) -> Interval:
    found = list(days)
    return Interval(min(found), max(found))

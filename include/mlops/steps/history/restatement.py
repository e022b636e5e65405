"""Restatement: what was made from partitions that were published again is made again, where the specification says so.

Only what no longer equals what would be made now is touched, so running this twice does nothing the second time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from include.mlops.errors import MlopsError, PartitionsFailed
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.ingestion.publish import ingest_interval
from include.mlops.steps.inputs.dependents import in_order, in_runs, reached
from include.mlops.steps.inputs.freshness import overtaken, stale_measured
from include.mlops.steps.monitoring.monitor import monitor
from include.mlops.steps.monitoring.performance import measure
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring.score import score

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
    within = {group.name: interval}  # all days that can be reached, so that one that was killed half-way is finished
    for reader in in_order(platform.specs):
        hulls = [reached(reader, name, within[name]) for name in reader.reads if name in within]
        if hulls:
            within[reader.name] = _hull(day for hull in hulls for day in hull)
            work.group(reader, within[reader.name])
    for model in platform.specs.models.values():
        work.model(model, within, told_of=(group.name, interval) if told else None)
    if work.done.failures:
        raise PartitionsFailed(f"restate what was made from {group.name} {interval}", work.done.failures)
    return work.done


def remeasure(platform: Platform, model: Model, interval: Interval, run_id: str) -> list[date]:
    """Measure performance again where it was measured before `interval` was scored anew."""
    if model.restatement != "recompute":
        return []
    days = sorted(stale_measured(platform, model, model.performance, interval))
    for run in in_runs(days):
        measure(platform, model, run, run_id)
    return days


@dataclass(frozen=True)
class _Work:
    platform: Platform
    run_id: str
    done: Restated

    def group(self, group: FeatureGroup, interval: Interval) -> None:
        def again(run: Interval) -> None:
            ingest_interval(self.platform, group, run, self.run_id, overdue=True)  # they are published already

        found = overtaken(self.platform, group, interval)
        self._again(group.name, found, again, recompute=group.restatement == "recompute")

    def model(self, model: Model, within: dict[str, Interval], told_of: tuple[str, Interval] | None) -> None:
        """Scores, then what was measured of them; each by itself, so that what was killed half-way is finished."""
        hulls = [within[name] for name in {model.features.group, model.label.group} if name in within]
        if not hulls:
            return
        interval, recompute = _hull(day for hull in hulls for day in hull), model.restatement == "recompute"

        def score_again(run: Interval) -> None:
            score(self.platform, model, run, self.run_id, version=versions[run.first])

        def monitor_again(run: Interval) -> None:
            for ds in run:
                monitor(self.platform, model, ds, self.run_id)

        def measure_again(run: Interval) -> None:
            measure(self.platform, model, run, self.run_id)

        found = _but(overtaken(self.platform, model, interval), model.features.group, told_of)
        versions = self._versions(model, interval)
        self._again(f"scores of {model.name}", found, score_again, versions, recompute=recompute)
        found = _but(stale_measured(self.platform, model, model.drift, interval), model.features.group, told_of)
        self._again(f"drift of {model.name}", found, monitor_again, recompute=recompute)
        found = _but(stale_measured(self.platform, model, model.performance, interval), model.label.group, told_of)
        self._again(f"performance of {model.name}", found, measure_again, recompute=recompute)

    def _versions(self, model: Model, interval: Interval) -> dict[date, int | None]:
        """What scored each day: the version live for it, unless somebody named another."""
        published = self.platform.ledger.publications.over(model.predictions, interval)
        return {ds: one.version for ds, one in published.items()}

    def _again(
        self,
        what: str,
        days: Iterable[date],
        again: Callable[[Interval], None],
        apart: Mapping[date, object] | None = None,
        *,
        recompute: bool,
    ) -> None:
        """Do it for each run of days (of one value of `apart`), and keep what went through and what failed."""
        days = sorted(days)
        if not days:
            return
        if not recompute:
            self.done.left[what] = days
            log.info("%s: %d day(s) are out of date and left: restatement is `mark`", what, len(days))
            return
        failed: dict[date, str] = {}
        for run in _runs(days, apart or {}):
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
        if made := [ds for ds in days if ds not in failed]:
            self.done.made[what] = made


def _runs(days: Iterable[date], apart: Mapping[date, object]) -> list[Interval]:
    return [run for _, some in groupby(days, apart.get) for run in in_runs(some)]


def _but(days: Iterable[date], of: str, told_of: tuple[str, Interval] | None) -> list[date]:
    """Without those that the event of `told_of` has started already."""
    return [ds for ds in days if not (told_of and told_of[0] == of and ds in told_of[1])]


def _hull(days: Iterable[date]) -> Interval:
    found = list(days)
    return Interval(min(found), max(found))

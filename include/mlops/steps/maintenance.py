"""Maintain: old snapshots, days of many small files, stray files and old checkpoints, within a budget of time; and old
reports, which lie where Airflow's tasks run.

Tables are taken in turn, the one that waited longest first, and the next run goes on where this one stopped. Never
expires what a tag holds, what a registered version names, or what is younger than `snapshot_days`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from include.mlops.errors import MlopsError, ServiceUnavailable
from include.mlops.lake import maintenance, snapshots
from include.mlops.lake.catalog import available
from include.mlops.lake.checkpoints import abandoned, forget_abandoned
from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings
from include.mlops.steps.platform import Platform
from include.mlops.steps.spark_failures import spark_failures
from include.mlops.steps.training.training_record import (
    FEATURES_SNAPSHOT,
    FEATURES_TABLE,
    LABELS_SNAPSHOT,
    LABELS_TABLE,
)

log = logging.getLogger(__name__)
STRAY_AFTER = timedelta(days=3)
"""A running task may hold files that nothing names yet; none runs that long (tasks are ended after half a day)."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Tended:
    """What was done to a table, or would be. `left`: why not all of it was; such a table comes first next time.

    `failed`: something is to be mended first.
    """

    table: str
    expired: int = 0
    files: int = 0
    compacted: int = 0
    stray: int = 0
    left: str = ""
    failed: bool = False

    def line(self) -> str:
        done = (
            f"{self.expired} snapshots, {self.files} files, {self.compacted} days compacted, {self.stray} stray files"
        )
        return f"{self.table}: {done}" + (f"; not finished: {self.left}" if self.left else "")


@dataclass(frozen=True)
class Maintained:
    """`waiting`: the tables that the next run begins with."""

    tables: tuple[Tended, ...]
    waiting: tuple[str, ...]
    checkpoints: int
    dry_run: bool = False
    uncompacted: str = ""
    """Why days of many files stayed as they were; the next run tries again."""

    def require_done(self) -> None:
        """Raises MlopsError where tables are to be mended, ServiceUnavailable where days were not compacted."""
        if wrong := [one.line() for one in self.tables if one.failed]:
            raise MlopsError("\n".join([f"{len(wrong)} table(s) could not be tended", *wrong]))
        if self.uncompacted:
            raise ServiceUnavailable(f"days of many files stayed as they are: {self.uncompacted}")


class _Compaction:
    """One table's days after another's. Spark that did not answer is not asked again: the rest needs none."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.unanswered = ""

    def __call__(self, name: str, ds: date) -> bool:
        """Whether the day was compacted."""
        if self.unanswered:
            return False
        doing = f"compacting {name} of {ds}"
        try:
            with spark_failures(doing, "the day stays as it is; look at the Spark server's log"):
                return maintenance.compact(self._platform.lake, self._platform.spark, name, ds)
        except ServiceUnavailable as error:
            self.unanswered = f"{doing}: {error}"
            log.warning("%s", self.unanswered)
            return False


class _Budget:
    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock, self._end = clock, clock() + seconds

    @property
    def spent(self) -> bool:
        return self._clock() >= self._end


def maintain(
    platform: Platform,
    now: datetime | None = None,
    *,
    dry_run: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Maintained:
    """With `dry_run` nothing is changed. `now` decides what is old, `clock` (seconds) when the budget is spent.

    Raises ServiceUnavailable where a room does not answer; of Spark, which compaction alone needs, that is told in
    `uncompacted`. Tables that fail for another reason are told, and come first next time.
    """
    now = now or datetime.now(UTC)
    budget = _Budget(60 * platform.settings.maintenance_minutes, clock)
    kept = _of_versions(platform)
    queue, compaction = _in_turn(platform), _Compaction(platform)
    done: list[Tended] = []
    for name in queue:
        if budget.spent:
            break
        done.append(_tend(platform, name, now, budget, kept.get(name, set()), None if dry_run else compaction))
        log.info("%s", done[-1].line())
    checkpoints = _old_checkpoints(platform, now, dry_run=dry_run)
    unfinished = [one.table for one in done if one.left]
    waiting = (*unfinished, *queue[len(done) :])
    return Maintained(tuple(done), waiting, checkpoints, dry_run, compaction.unanswered)


def _in_turn(platform: Platform) -> list[str]:
    at = {name: _maintained_at(platform.lake, name) for name in snapshots.tables(platform.lake)}
    return sorted(at, key=lambda name: (at[name], name))


def _maintained_at(lake: Lake, name: str) -> datetime:
    try:
        return maintenance.maintained_at(lake.table(name)) or _NEVER
    except FileNotFoundError:
        return _NEVER  # that its metadata is lost is told where it is tended


def _of_versions(platform: Platform) -> dict[str, set[int]]:
    """{table: snapshots that registered versions were trained on}. Tags hold them too; somebody may drop a tag."""
    found: dict[str, set[int]] = {}
    for model in platform.registry.models():
        for version in platform.registry.versions(model):
            for table, snapshot in ((FEATURES_TABLE, FEATURES_SNAPSHOT), (LABELS_TABLE, LABELS_SNAPSHOT)):
                if table in version.tags and snapshot in version.tags:
                    found.setdefault(version.tags[table], set()).add(int(version.tags[snapshot]))
    return found


def _tend(
    platform: Platform, name: str, now: datetime, budget: _Budget, kept: set[int], compaction: _Compaction | None
) -> Tended:
    """Without a compaction it is a dry run. Expiry first: it is cheap, and what it deletes need not be looked at
    afterwards.
    """
    lake, found = platform.lake, Tended(name)
    try:
        with available():
            old = snapshots.older_than(lake.table(name), now - timedelta(days=platform.settings.snapshot_days), kept)
            if compaction is None:
                files, days = len(snapshots.unreachable(lake.table(name), old)), maintenance.scattered(lake, name)
                stray = maintenance.sweep(lake, name, now - STRAY_AFTER, dry_run=True)
                return Tended(name, len(old), files, len(days), stray)
            found = replace(found, expired=len(old), files=snapshots.expire(lake, name, old))
            for ds in maintenance.scattered(lake, name):
                if budget.spent:
                    return replace(found, left="the time was spent before all of its days were compacted")
                found = replace(found, compacted=found.compacted + compaction(name, ds))
            found = replace(found, stray=maintenance.sweep(lake, name, now - STRAY_AFTER))
            maintenance.mark_maintained(lake, name, now)
    except (MlopsError, OSError) as error:
        if getattr(error, "transient", False):
            raise
        return replace(found, left=f"{type(error).__name__}: {error}", failed=True)
    return found


def delete_old_reports(settings: Settings, now: datetime | None = None, *, dry_run: bool = False) -> int:
    """How many were older than `report_days`. With `dry_run` they stay."""
    limit = ((now or datetime.now(UTC)) - timedelta(days=settings.report_days)).timestamp()
    found = [path for path in settings.reports.rglob("*") if _is_old(path, limit)]
    if not dry_run:
        for path in found:
            path.unlink(missing_ok=True)
    return len(found)


def _old_checkpoints(platform: Platform, now: datetime, *, dry_run: bool) -> int:
    """How many trainings left checkpoints that nobody goes on from."""
    settings = platform.settings
    folders = abandoned(settings.warehouse, now - timedelta(days=settings.snapshot_days))
    if not dry_run:
        forget_abandoned(settings.warehouse, folders)
    return len(folders)


def _is_old(path: Path, limit: float) -> bool:
    return path.is_file() and path.stat().st_mtime < limit

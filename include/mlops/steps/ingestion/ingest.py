"""Ingest: rows of a source become a staged snapshot of features; malformed rows go to quarantine.

One Spark job for the whole interval, however many days it has. Nothing is visible to readers yet.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.errors import FileNotRead, MeaningChanged, PartitionsFailed
from include.mlops.lake.schema import PARTITION_COLUMNS
from include.mlops.lake.staging import Staged, stage
from include.mlops.ledger.publications import Validation
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import group_meaning
from include.mlops.steps.ingestion.arrival import Seen, arrive, drift_record, look_at
from include.mlops.steps.ingestion.transform_inputs import usable, views
from include.mlops.steps.ingestion.transformed import transformed
from include.mlops.steps.inputs.readiness import require_inputs
from include.mlops.steps.platform import Platform
from include.mlops.steps.spark_failures import spark_failures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingested:
    """A staged interval. `failures` are partitions that never came so far; nothing of them is staged.

    `inputs` says of each staged day what it was made from, in the form of `Publication.inputs`.
    `restated` is the reason to publish another meaning under the same version, empty where there is none. `drift` tells
    what changed in the columns of the source.
    """

    group: str
    staged: Staged | None
    quarantined: dict[date, int]
    failures: dict[date, str]
    inputs: dict[date, dict[str, Any]]
    meaning: str
    run_id: str
    restated: str = ""
    drift: tuple[Validation, ...] = ()

    def rows(self) -> dict[date, int]:
        return self.staged.rows if self.staged else {}


@dataclass(frozen=True)
class _Made:
    """Of the days whose source can be read; the fields of `Ingested`."""

    staged: Staged | None
    quarantined: dict[date, int]
    failures: dict[date, str]
    inputs: dict[date, dict[str, Any]]


def ingest(
    platform: Platform,
    group: FeatureGroup,
    interval: Interval,
    run_id: str,
    *,
    restated: str = "",
    overdue: bool = False,
) -> Ingested:
    """Stage `interval`; partitions that fail alone are in the result.

    `overdue` says that the deadline is past: a group whose schedule says so goes on without the inputs that are
    missing, and `inputs` marks them.

    Raises NotReady, SpecError, MeaningChanged (unless `restated` says why it did), PartitionsFailed where no partition
    is left, and FileNotRead where Spark stopped at a file that is whole.
    """
    meaning = group_meaning(group)
    if not restated:
        require_meaning(platform, group, meaning)
    if not (overdue and group.schedule.late == "go_on"):
        require_inputs(platform, group, interval)
    seen = look_at(platform, group, interval)
    made = None
    while seen.looks and made is None:
        try:
            made = _make(platform, group, interval, seen, run_id)
        except FileNotRead:
            with spark_failures(f"looking for what is broken of {group.name} {interval}", "look at its files"):
                broken = seen.source.unreadable(platform.spark, seen.looks)
            if not broken:  # its store did not answer just then
                raise
            for ds, error in broken.items():
                del seen.looks[ds]
                seen.failures[ds] = error.line()
    failures = seen.failures | (made.failures if made else {})
    if made is None or made.staged is None:
        raise PartitionsFailed(f"ingest {group.name}", failures)
    staged, quarantined = made.staged, made.quarantined
    counts = sum(staged.rows.values()), sum(quarantined.values())
    log.info("staged %s %s: %d rows, %d quarantined", group.name, interval, *counts)
    drift = drift_record(platform, group, seen, run_id)
    return Ingested(group.name, staged, quarantined, failures, made.inputs, meaning, run_id, restated, drift)


def _make(platform: Platform, group: FeatureGroup, interval: Interval, seen: Seen, run_id: str) -> _Made:
    """Stage those of the days seen that can be used. Raises FileNotRead where Spark stops at a file."""
    days, spark = list(seen.looks), platform.spark
    origins = {ds: seen.source.inputs(ds) for ds in days}  # before it is read: what changes then is stale
    with spark_failures(f"reading the source of {group.name} {interval}", f"look at source in {group.folder}"):
        spark.conf.set("spark.sql.session.timeZone", group.timezone)
        arrived = arrive(platform, group, seen, run_id)
    days = [ds for ds in days if ds not in arrived.failures]
    if not days:
        return _Made(None, arrived.quarantined, arrived.failures, {})
    with spark_failures(f"ingesting {group.name} {interval}", f"look at {group.folder}/transform.py"):
        reads, tables = views(platform, spark, group, interval, days)
        features = transformed(group, usable(arrived.rows, group, days), reads)
        platform.lake.create(group.table, {**group.publishes, **PARTITION_COLUMNS}, staged=True, order=group.keys)
        staged = stage(platform.lake, spark, group.table, features, days)
    return _Made(staged, arrived.quarantined, arrived.failures, {ds: {**origins[ds], **tables[ds]} for ds in days})


def require_meaning(platform: Platform, group: FeatureGroup, meaning: str) -> None:
    """Raises MeaningChanged where the group's version was published with another meaning than `meaning`."""
    known = platform.ledger.publications.meaning(group.table)
    if known not in (None, meaning):
        raise MeaningChanged(
            f"{group.name} version {group.version} was published with another meaning ({known}, now {meaning}): its "
            f"transform, source or columns changed. Raise `version:` to {group.version + 1} in "
            f"{group.folder}/feature_group.yaml, or, if the old rows were wrong, restate them: "
            f"python -m include.mlops restate {group.name} --from DAY --to DAY --reason WHY"
        )

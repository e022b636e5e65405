"""Ingest: rows of a source become a staged snapshot of features; malformed rows go to quarantine.

One Spark job for the whole interval, however many days it has. Nothing is visible to readers yet.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from include.mlops.errors import MeaningChanged, MlopsError, PartitionsFailed
from include.mlops.features import PointInTime, Reads
from include.mlops.lake.schema import PARTITION_COLUMNS
from include.mlops.lake.staging import Staged, frame, stage
from include.mlops.ledger.publications import Validation
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import group_meaning
from include.mlops.steps.arrival import arrive, drift_record, look_at
from include.mlops.steps.inputs import reads_of
from include.mlops.steps.platform import Platform
from include.mlops.steps.readiness import require_inputs
from include.mlops.steps.source_rows import KNOWN_FROM, REASON
from include.mlops.steps.spark_failures import spark_failures
from include.mlops.steps.transformed import transformed

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

    Raises NotReady, SpecError, MeaningChanged (unless `restated` says why it did), and PartitionsFailed where no
    partition is left.
    """
    meaning = group_meaning(group)
    if not restated:
        require_meaning(platform, group, meaning)
    if not (overdue and group.schedule.late == "go_on"):
        require_inputs(platform, group, interval)
    seen = look_at(platform, group, interval)
    failures, days = seen.failures, list(seen.looks)
    quarantined: dict[date, int] = {}
    inputs: dict[date, dict[str, Any]] = {}
    staged = None
    if days:
        origins = {ds: seen.source.inputs(ds) for ds in days}  # before it is read: what changes then is stale
        spark = platform.spark
        with spark_failures(f"reading the source of {group.name} {interval}", f"look at source in {group.folder}"):
            spark.conf.set("spark.sql.session.timeZone", group.timezone)
            arrived = arrive(platform, group, seen, run_id)
        quarantined, failures = arrived.quarantined, failures | arrived.failures
        days = [ds for ds in days if ds not in failures]
        with spark_failures(f"ingesting {group.name} {interval}", f"look at {group.folder}/transform.py"):
            if days:
                reads, tables = _reads(platform, spark, group, interval, days)
                inputs = {ds: {**origins[ds], **tables[ds]} for ds in days}
                features = transformed(group, _usable(arrived.rows, group, days), reads)
                columns = {**group.publishes, **PARTITION_COLUMNS}
                platform.lake.create(group.table, columns, staged=True, order=group.keys)
                staged = stage(platform.lake, spark, group.table, features, days)
    if staged is None:
        raise PartitionsFailed(f"ingest {group.name}", failures)
    counts = sum(staged.rows.values()), sum(quarantined.values())
    log.info("staged %s %s: %d rows, %d quarantined", group.name, interval, *counts)
    drift = drift_record(platform, group, seen, run_id)
    return Ingested(group.name, staged, quarantined, failures, inputs, meaning, run_id, restated, drift)


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


def _usable(rows: DataFrame, group: FeatureGroup, days: list[date]) -> DataFrame:
    """What transform() gets: source columns, ds, and the system columns."""
    system = {
        "event_time": F.col(group.event_time),
        "available_at": F.col(group.available_at),
        "known_from": F.col(KNOWN_FROM),
    }
    chosen = rows.where(F.col(REASON).isNull() & F.col("ds").isin([F.lit(ds) for ds in days]))
    return chosen.withColumns(system).select(*dict.fromkeys([*group.source.columns, *PARTITION_COLUMNS]))


def _reads(
    platform: Platform, spark: SparkSession, group: FeatureGroup, interval: Interval, days: list[date]
) -> tuple[Reads, dict[date, dict[str, Any]]]:
    """Point-in-time views of the declared groups, and what each of `days` reads of them.

    The ledger is asked before the lake: of a partition that is published in between, the rows may be newer than what
    is recorded, which makes this one stale, and never older, which nobody would see.
    """
    each = F.explode(F.sequence(F.lit(interval.first), F.lit(interval.last)))
    cutoffs = spark.range(1).select(each.alias("ds")).withColumn("cutoff", F.date_add("ds", group.schedule.delay))
    views: dict[str, PointInTime] = {}
    inputs: dict[date, dict[str, Any]] = {ds: {} for ds in days}
    for read in reads_of(platform, group, interval):
        other = read.other
        platform.lake.create(other.table, {**other.publishes, **PARTITION_COLUMNS}, staged=True, order=other.keys)
        snapshot = platform.lake.snapshot(other.table)
        if read.published and snapshot is None:
            first, last = min(read.published), max(read.published)
            raise MlopsError(
                f"expected rows of {other.table} {Interval(first, last)}, which the ledger says are published, found "
                "an empty table; was the lake moved or deleted? Publish them again: "
                f"python -m include.mlops ingest {other.name} --from {first} --to {last}"
            )
        rows = frame(spark, other.table, snapshot).where(_within(read.published))
        views[other.name] = PointInTime(rows, cutoffs, group.reads[other.name])
        for ds in days:
            inputs[ds][other.table] = read.recorded(ds, snapshot)
    return Reads(views), inputs


def _within(published: Collection[date]) -> Column:
    """Rows of published days alone: what was committed and not recorded does not count."""
    if not published:
        return F.lit(False)
    hull = Interval(min(published), max(published))
    gaps = [F.lit(ds) for ds in hull if ds not in published]
    near = F.col("ds").between(F.lit(hull.first), F.lit(hull.last))
    return near & ~F.col("ds").isin(gaps) if gaps else near

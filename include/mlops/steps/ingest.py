"""Ingest: rows of a source become a staged snapshot of features; malformed rows go to quarantine.

One Spark job for the whole interval, however many days it has. Nothing is visible to readers yet.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession
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
from include.mlops.steps.platform import Platform
from include.mlops.steps.readiness import require_inputs
from include.mlops.steps.source_rows import KNOWN_FROM, REASON
from include.mlops.steps.spark_failures import spark_failures
from include.mlops.steps.transformed import transformed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingested:
    """A staged interval. `failures` are partitions that never came so far; nothing of them is staged.

    `restated` is the reason to publish another meaning under the same version, empty where there is none. `drift` tells
    what changed in the columns of the source.
    """

    group: str
    staged: Staged | None
    quarantined: dict[date, int]
    failures: dict[date, str]
    inputs: dict[str, Any]
    meaning: str
    run_id: str
    restated: str = ""
    drift: tuple[Validation, ...] = ()

    def rows(self) -> dict[date, int]:
        return self.staged.rows if self.staged else {}


def ingest(platform: Platform, group: FeatureGroup, interval: Interval, run_id: str, *, restated: str = "") -> Ingested:
    """Stage `interval`; partitions that fail alone are in the result.

    Raises NotReady, SpecError, MeaningChanged (unless `restated` says why it did), and PartitionsFailed where no
    partition is left.
    """
    meaning = group_meaning(group)
    if not restated:
        require_meaning(platform, group, meaning)
    require_inputs(platform, group, interval)
    seen = look_at(platform, group, interval)
    failures, days = seen.failures, list(seen.looks)
    quarantined: dict[date, int] = {}
    inputs: dict[str, Any] = {}
    staged = None
    if days:
        spark = platform.spark
        with spark_failures(f"reading the source of {group.name} {interval}", f"look at source in {group.folder}"):
            spark.conf.set("spark.sql.session.timeZone", group.timezone)
            arrived = arrive(platform, group, seen, run_id)
        quarantined, failures = arrived.quarantined, failures | arrived.failures
        days = [ds for ds in days if ds not in failures]
        with spark_failures(f"ingesting {group.name} {interval}", f"look at {group.folder}/transform.py"):
            if days:
                reads, inputs = _reads(platform, spark, group, interval)
                inputs |= seen.source.inputs()
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
    platform: Platform, spark: SparkSession, group: FeatureGroup, interval: Interval
) -> tuple[Reads, dict[str, Any]]:
    """Point-in-time views of the declared groups, and the snapshots they were read at."""
    each = F.explode(F.sequence(F.lit(interval.first), F.lit(interval.last)))
    days = spark.range(1).select(each.alias("ds")).withColumn("cutoff", F.date_add("ds", group.schedule.delay))
    views: dict[str, PointInTime] = {}
    inputs: dict[str, Any] = {}
    for name, lag in group.reads.items():
        other = platform.specs.group(name)
        needed = group.needs(interval, other)
        platform.lake.create(other.table, {**other.publishes, **PARTITION_COLUMNS}, staged=True, order=other.keys)
        snapshot = platform.lake.snapshot(other.table)
        if needed and snapshot is None:
            raise MlopsError(
                f"expected rows of {other.table} {needed}, which the ledger says are published, found an empty table; "
                "was the lake moved or deleted? Publish them again: "
                f"python -m include.mlops ingest {name} --from {needed.first} --to {needed.last}"
            )
        near = F.col("ds").between(F.lit(needed.first), F.lit(needed.last)) if needed else F.lit(False)
        views[name] = PointInTime(frame(spark, other.table, snapshot).where(near), days, lag)
        inputs[other.table] = {"snapshot_id": snapshot, "lag": list(lag)}
    return Reads(views), inputs

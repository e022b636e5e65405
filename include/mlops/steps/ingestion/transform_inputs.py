"""What a transform is given: the usable rows of the source, and point-in-time views of what the group reads."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from include.mlops.errors import MlopsError
from include.mlops.features import PointInTime, Reads
from include.mlops.lake.schema import PARTITION_COLUMNS, SPARK_TYPES
from include.mlops.lake.staging import frame
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.source_rows import KNOWN_FROM, REASON
from include.mlops.steps.inputs.inputs import reads_of
from include.mlops.steps.platform import Platform


def usable(rows: DataFrame, group: FeatureGroup, days: list[date]) -> DataFrame:
    """What transform() gets: source columns, ds, and the system columns."""
    system = {
        "event_time": F.col(group.event_time),
        "available_at": F.col(group.available_at),
        "known_from": F.col(KNOWN_FROM),
    }
    chosen = rows.where(F.col(REASON).isNull() & F.col("ds").isin([F.lit(ds) for ds in days]))
    return chosen.withColumns(system).select(*dict.fromkeys([*group.source.columns, *PARTITION_COLUMNS]))


def views(
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
        snapshot = platform.lake.snapshot(other.table) if platform.lake.exists(other.table) else None
        if read.published and snapshot is None:
            first, last = min(read.published), max(read.published)
            raise MlopsError(
                f"expected rows of {other.table} {Interval(first, last)}, which the ledger says are published, found "
                "an empty table; was the lake moved or deleted? Publish them again: "
                f"python -m include.mlops ingest {other.name} --from {first} --to {last}"
            )
        rows = frame(spark, other.table, snapshot) if snapshot else _no_rows(spark, other)
        rows = rows.where(_within(read.published))
        views[other.name] = PointInTime(rows, cutoffs, group.reads[other.name])
        for ds in days:
            inputs[ds][other.table] = read.recorded(ds, snapshot)
    return Reads(views), inputs


def _no_rows(spark: SparkSession, group: FeatureGroup) -> DataFrame:
    columns = {**group.publishes, **PARTITION_COLUMNS}
    return spark.createDataFrame([], ", ".join(f"`{name}` {SPARK_TYPES.get(k, k)}" for name, k in columns.items()))


def _within(published: Collection[date]) -> Column:
    """Rows of published days alone: what was committed and not recorded does not count."""
    if not published:
        return F.lit(False)
    hull = Interval(min(published), max(published))
    gaps = [F.lit(ds) for ds in hull if ds not in published]
    near = F.col("ds").between(F.lit(hull.first), F.lit(hull.last))
    return near & ~F.col("ds").isin(gaps) if gaps else near

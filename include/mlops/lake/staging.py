"""Write, audit, publish: data is staged as an Iceberg snapshot beside the main branch, and published by one commit.

A staged snapshot is found by its `spark.wap.id`, unique for each attempt. Publishing the same staged snapshot twice
changes nothing the second time.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow.compute as pc
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyiceberg.table import Table

from include.mlops.errors import MlopsError
from include.mlops.lake.lake import CATALOG, Lake


@dataclass(frozen=True)
class Staged:
    """A snapshot that nobody reads yet. `rows` counts each of its days, those without rows included."""

    table: str
    wap_id: str
    snapshot_id: int
    rows: dict[date, int]


def stage(lake: Lake, spark: SparkSession, table: str, frame: DataFrame, days: Collection[date]) -> Staged:
    """Write `frame` (columns of the table, all of its rows within `days`) as a staged snapshot."""
    wap_id = uuid.uuid4().hex
    spark.conf.set("spark.wap.id", wap_id)
    try:
        frame.writeTo(f"{CATALOG}.{table}").overwritePartitions()
    finally:
        spark.conf.unset("spark.wap.id")
    loaded = lake.table(table)
    staged = next((s for s in loaded.snapshots() if s.summary and s.summary.get("wap.id") == wap_id), None)
    if staged is None:
        raise MlopsError(f"expected a staged snapshot {wap_id} in {table}, found none: is write.wap.enabled set on it?")
    return Staged(table, wap_id, staged.snapshot_id, {**dict.fromkeys(days, 0), **_added(loaded, staged.snapshot_id)})


def staged_frame(spark: SparkSession, staged: Staged) -> DataFrame:
    return spark.sql(f"SELECT * FROM {CATALOG}.{staged.table} VERSION AS OF {staged.snapshot_id}")


def publish(lake: Lake, spark: SparkSession, staged: Staged, days: Collection[date]) -> int:
    """Make the staged rows of `days` visible, in one commit. Returns the id of the snapshot that holds them.

    All staged days at once are a matter of metadata (cherry-pick). A part of them, a day that became empty (which a
    cherry-pick would leave as it was), or a day that somebody else published meanwhile, is copied over by its filter.
    """
    done = _published(lake.table(staged.table), staged.wap_id)
    if done is not None:
        return done
    if set(days) == set(staged.rows) and all(staged.rows.values()):
        try:
            spark.sql(f"CALL {CATALOG}.system.cherrypick_snapshot('{staged.table}', {staged.snapshot_id})").collect()
        except PySparkException as error:
            if "Cannot cherry-pick" not in str(error):
                raise
        else:
            return _require(lake, staged)
    _copy(spark, staged, days)
    return _require(lake, staged)


def _copy(spark: SparkSession, staged: Staged, days: Collection[date]) -> None:
    wanted = [day for day in days if staged.rows[day]]
    chosen = F.col("ds").isin([F.lit(day) for day in sorted(days)])
    rows = staged_frame(spark, staged).where(F.col("ds").isin([F.lit(day) for day in wanted]) if wanted else F.lit(False))
    rows.writeTo(f"{CATALOG}.{staged.table}").option("snapshot-property.mlops.wap-id", staged.wap_id).overwrite(chosen)


def _published(table: Table, wap_id: str) -> int | None:
    """The snapshot of the main branch that came from that staging."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        summary: dict[str, Any] = snapshot.summary.additional_properties if snapshot.summary else {}
        if wap_id in (summary.get("wap.id"), summary.get("published-wap-id"), summary.get("mlops.wap-id")):
            return snapshot.snapshot_id
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return None


def _require(lake: Lake, staged: Staged) -> int:
    found = _published(lake.table(staged.table), staged.wap_id)
    if found is None:
        raise MlopsError(f"expected {staged.table} to show the staged rows {staged.wap_id} after publishing, found none")
    return found


def _added(table: Table, snapshot_id: int) -> dict[date, int]:
    """Rows by day of the data files that a snapshot added."""
    entries = table.inspect.entries(snapshot_id=snapshot_id)
    mine = entries.filter(pc.and_(pc.equal(entries["status"], 1), pc.equal(entries["snapshot_id"], snapshot_id)))
    counts: dict[date, int] = {}
    for file in mine["data_file"].to_pylist():
        day = file["partition"]["ds"]
        counts[day] = counts.get(day, 0) + file["record_count"]
    return counts

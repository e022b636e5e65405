"""Write, audit, publish: data is staged as an Iceberg snapshot beside the main branch, and published by one commit.

A staged snapshot is found by its `spark.wap.id`, unique for each attempt. Publishing the same staged snapshot twice
changes nothing the second time.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from include.mlops.errors import MlopsError, SettingsError
from include.mlops.lake.catalog import CATALOG
from include.mlops.lake.lake import Lake
from include.mlops.spec.interval import Interval

_WAP_ID, _DAYS = "mlops.wap-id", "mlops.days"  # of a snapshot that copied a part of a staged one


@dataclass(frozen=True)
class Staged:
    """A snapshot that nobody reads yet. `rows` counts each of its days, those without rows included.

    `snapshot_id` is None where no day has rows: Iceberg makes no snapshot of nothing.
    """

    table: str
    wap_id: str
    snapshot_id: int | None
    rows: dict[date, int]


def stage(lake: Lake, spark: SparkSession, table: str, rows: DataFrame, days: Collection[date]) -> Staged:
    """Write `rows` (columns of the table) as a staged snapshot.

    Raises MlopsError where it has rows of other days, SettingsError where the catalog shows staged rows to readers.
    """
    wap_id = uuid.uuid4().hex
    spark.conf.set("spark.wap.id", wap_id)
    try:
        rows.writeTo(f"{CATALOG}.{table}").overwritePartitions()
    finally:
        spark.conf.unset("spark.wap.id")
    loaded = lake.table(table)
    staged = next((s for s in loaded.snapshots() if s.summary and s.summary.get("wap.id") == wap_id), None)
    if staged is None and not rows.isEmpty():
        raise MlopsError(f"expected a staged snapshot {wap_id} in {table}, found none: is write.wap.enabled set on it?")
    if staged and lake.snapshot(table) == staged.snapshot_id:
        _hide(lake, table, staged.parent_snapshot_id, days)
        raise SettingsError(
            f"expected the rows staged in {table} to be hidden until they are published, found them shown to readers; "
            "they are taken back. The catalog (MLOPS_CATALOG_URL) takes any new snapshot for the current one: use a "
            "database, AWS Glue, or a REST catalog that keeps Iceberg's branches"
        )
    added = _added(loaded, staged.snapshot_id) if staged else {}
    strange = sorted(str(day) for day in added if day not in days)
    if strange:
        raise MlopsError(
            f"expected rows of the days {min(days)} to {max(days)} for {table}, found some of {', '.join(strange[:5])} "
            "too; nothing of them is published: transform() must leave ds as it is"
        )
    return Staged(table, wap_id, staged.snapshot_id if staged else None, {**dict.fromkeys(days, 0), **added})


def _hide(lake: Lake, table: str, before: int | None, days: Collection[date]) -> None:
    """What readers saw before is what they see again."""
    if before is None:
        lake.replace(table, lake.no_rows(table), sorted(days))
    else:
        lake.show(table, before)


def frame(spark: SparkSession, table: str, snapshot_id: int | None) -> DataFrame:
    """A table's rows as of a snapshot, staged ones included; what readers see now where that is None."""
    at = f" VERSION AS OF {snapshot_id}" if snapshot_id else ""
    return spark.sql(f"SELECT * FROM {CATALOG}.{table}{at}")  # noqa: S608 - names that the specifications allow


def staged_day(lake: Lake, staged: Staged, day: date, columns: Sequence[str] | None = None) -> pa.Table:
    """The staged rows of one day; all columns, or those asked for, in that order."""
    if not staged.rows[day]:
        nothing = lake.no_rows(staged.table)
        return nothing.select(list(columns)) if columns else nothing
    return lake.read(staged.table, Interval.day(day), columns, staged.snapshot_id)


def staged_batches(lake: Lake, staged: Staged, day: date) -> Iterator[pa.RecordBatch]:
    """As `staged_day`, in parts and in no particular order, so that memory is bounded by one of them."""
    if staged.rows[day]:
        yield from lake.batches(staged.table, Interval.day(day), snapshot_id=staged.snapshot_id)


def publish(lake: Lake, spark: SparkSession, staged: Staged, days: Collection[date]) -> int:
    """Make the staged rows of `days` visible, in one commit. Returns the id of the snapshot that holds them.

    All staged days at once are a matter of metadata (cherry-pick). A part of them, a day that became empty (which a
    cherry-pick would leave as it was), or a day that somebody else published meanwhile, is copied over by its filter.
    Days that this staging published before are left as they are.
    """
    done, shown = _published(lake.table(staged.table), staged)
    left = set(days) - shown
    if done is not None and not left:
        return done
    if done is not None or left != set(staged.rows) or not all(staged.rows.values()) or not _picked(spark, staged):
        _copy(spark, staged, left)
    done, _ = _published(lake.table(staged.table), staged)
    if done is None:
        raise MlopsError(
            f"expected {staged.table} to show the staged rows {staged.wap_id}, found none after publishing"
        )
    return done


def _picked(spark: SparkSession, staged: Staged) -> bool:
    """Whether the cherry-pick went through; not where one of its days was published by somebody else meanwhile."""
    try:
        spark.sql(f"CALL {CATALOG}.system.cherrypick_snapshot('{staged.table}', {staged.snapshot_id})").collect()
    except PySparkException as error:
        if "Cannot cherry-pick" not in str(error):
            raise
        return False
    return True


def _copy(spark: SparkSession, staged: Staged, days: Collection[date]) -> None:
    filled = [day for day in sorted(days) if staged.rows[day]]
    rows = frame(spark, staged.table, staged.snapshot_id).where(_on(filled) if filled else F.lit(False))
    writer = rows.writeTo(f"{CATALOG}.{staged.table}").option(f"snapshot-property.{_WAP_ID}", staged.wap_id)
    writer.option(f"snapshot-property.{_DAYS}", " ".join(str(day) for day in sorted(days))).overwrite(_on(days))


def _on(days: Collection[date]) -> Column:
    return F.col("ds").isin([F.lit(day) for day in sorted(days)])


def _published(table: Table, staged: Staged) -> tuple[int | None, set[date]]:
    """The newest snapshot of the main branch that came from that staging, and all days published from it."""
    kept = {snapshot.snapshot_id: snapshot for snapshot in table.snapshots()}
    current = table.current_snapshot()
    found: int | None = None
    days: set[date] = set()
    while current is not None:
        summary: dict[str, Any] = current.summary.additional_properties if current.summary else {}
        whole = staged.wap_id in (summary.get("wap.id"), summary.get("published-wap-id"))
        if whole or summary.get(_WAP_ID) == staged.wap_id:
            found = found or current.snapshot_id
            days |= set(staged.rows) if whole else {date.fromisoformat(day) for day in summary[_DAYS].split()}
        current = kept.get(current.parent_snapshot_id) if current.parent_snapshot_id else None
    return found, days


def _added(table: Table, snapshot_id: int) -> dict[date, int]:
    """Rows by day of the data files that a snapshot added."""
    entries = table.inspect.entries(snapshot_id=snapshot_id)
    mine = entries.filter(pc.and_(pc.equal(entries["status"], 1), pc.equal(entries["snapshot_id"], snapshot_id)))
    counts: dict[date, int] = {}
    for file in mine["data_file"].to_pylist():
        day = file["partition"]["ds"]
        counts[day] = counts.get(day, 0) + file["record_count"]
    return counts

"""An Iceberg table of the lake's own catalog that somebody else writes; one of its columns tells the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.mlops.errors import BrokenSource, EmptySource, UnreadableSource
from include.mlops.lake.foreign import columns_at, has_day
from include.mlops.lake.lake import Lake
from include.mlops.sources.source import CORRUPT, DAY, ORIGIN, Look, Raw
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.nearest import allowed

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession


class IcebergTable:
    """All days are read at one snapshot, the newest when the table was first looked at."""

    def __init__(self, lake: Lake, group: FeatureGroup) -> None:
        self._lake = lake
        self._group = group
        self._table, self._day = group.source.table, group.source.day

    def place(self, ds: date) -> str:
        return f"the lake table {self._table} for {self._day} {ds}"

    def missing(self, ds: date) -> str | None:
        if not self._lake.exists(self._table) or self._snapshot is None:
            return f"rows in the lake table {self._table}"
        return None if self._has(self._snapshot, ds) else f"rows of {ds} in the lake table {self._table}"

    def look(self, ds: date) -> Look:
        if not self._lake.exists(self._table):
            raise UnreadableSource(
                f"expected the table {self._table} in the lake's catalog, found none; "
                f"correct source.table of {self._group.name}, or write the table"
            )
        there = self._snapshot is not None and self._has(self._snapshot, ds)
        if self._snapshot is None or (not there and self._group.source.empty == "fail"):
            raise EmptySource(
                f"expected rows in {self.place(ds)}, found none; write them, then run the partition again"
            )
        declared = self._group.source.columns
        columns = self._columns(self._snapshot)
        came = {name: kind for name, kind in columns.items() if name in declared or name != self._day}
        return Look(came, 1 if there else 0)

    def read(self, spark: SparkSession, looks: Mapping[date, Look]) -> Sequence[Raw]:
        from pyspark.sql import functions as F

        from include.mlops.lake.staging import frame

        assert self._snapshot is not None, "what was looked at has rows"
        columns = self._columns(self._snapshot)
        known = [name for name in self._group.source.columns if name in columns]
        rows = frame(spark, self._table, self._snapshot).where(_on(self._day, self._kind(columns), list(looks)))
        origin = F.concat(F.lit(f"{self._table}@{self._snapshot}/{self._day}="), F.to_date(self._day))
        told = {DAY: F.to_date(self._day), CORRUPT: F.lit(None).cast("string"), ORIGIN: origin}
        return [Raw(rows.withColumns(told).select(*known, *told), columns)]

    def unreadable(self, spark: SparkSession, looks: Mapping[date, Look]) -> dict[date, BrokenSource]:  # noqa: ARG002
        """None: nothing is read of files that are ours to judge."""
        return {}

    def inputs(self, ds: date) -> dict[str, Any]:  # noqa: ARG002 - all days are read at one snapshot
        return {self._table: {"snapshot_id": self._snapshot}}

    @cached_property
    def _snapshot(self) -> int | None:
        return self._lake.snapshot(self._table)

    def _has(self, snapshot: int, ds: date) -> bool:
        self._kind(self._columns(snapshot))
        return has_day(self._lake, self._table, snapshot, self._day, ds, self._group.timezone)

    def _columns(self, snapshot: int) -> dict[str, pa.DataType]:
        return columns_at(self._lake, self._table, snapshot)

    def _kind(self, columns: Mapping[str, pa.DataType]) -> pa.DataType:
        """The type of the day column. Raises UnreadableSource where that is none."""
        if self._day not in columns:
            told = allowed("column", self._day, columns)
            raise UnreadableSource(
                f"expected the day column of the lake table {self._table}, found {told}; correct source.day"
            )
        kind = columns[self._day]
        if not pa.types.is_date(kind) and not pa.types.is_timestamp(kind):
            raise UnreadableSource(
                f"expected a date or timestamp in {self._day}, the day column of the lake table {self._table}, "
                f"found the type {kind}; name another column under source.day"
            )
        return kind


def _on(column: str, kind: pa.DataType, days: list[date]) -> Column:
    """Rows of those days, in the time zone of the session."""
    from pyspark.sql import functions as F

    each = [F.lit(ds) for ds in days]
    if not pa.types.is_timestamp(kind):
        return F.col(column).isin(each)
    moment = "timestamp" if kind.tz else "timestamp_ntz"
    start, end = (F.lit(f"{ds} 00:00:00").cast(moment) for ds in (min(days), max(days) + timedelta(days=1)))
    return (F.col(column) >= start) & (F.col(column) < end) & F.to_date(column).isin(each)  # a range prunes files

"""Tables of the catalog that somebody else writes: their columns, and the days that they hold."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyiceberg.expressions import And, BooleanExpression, EqualTo, GreaterThanOrEqual, LessThan
from pyiceberg.schema import Schema

from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake


def tables(lake: Lake) -> list[str]:
    """All tables of the catalog, as namespace.table."""
    with available():
        spaces = lake.catalog.list_namespaces()
        return sorted(".".join(name) for space in spaces for name in lake.catalog.list_tables(space))


def some_rows(lake: Lake, table: str, rows: int) -> pa.Table:
    """At most so many rows of a table, those that are read first. Raises MlopsError where there is no such table."""
    with available():
        return lake.table(table).scan(limit=rows).to_arrow()


def columns_at(lake: Lake, table: str, snapshot_id: int) -> dict[str, pa.DataType]:
    """The columns of the table as that snapshot was written."""
    return {field.name: field.type for field in _schema(lake, table, snapshot_id).as_arrow()}


def has_day(lake: Lake, table: str, snapshot_id: int, column: str, ds: date, zone: str) -> bool:
    """Whether a row of that snapshot has `ds` in `column`, a date or a timestamp (of the time zone, where it is a
    moment).
    """
    kind = _schema(lake, table, snapshot_id).as_arrow().field(column).type
    with available():
        scan = lake.table(table).scan(_within(column, kind, ds, zone), (column,), snapshot_id=snapshot_id, limit=1)
        return bool(scan.to_arrow().num_rows)


def _within(column: str, kind: pa.DataType, ds: date, zone: str) -> BooleanExpression:
    if not pa.types.is_timestamp(kind):
        return EqualTo(term=column, value=str(ds))
    place = ZoneInfo(zone) if kind.tz else None
    start, end = (datetime.combine(day, time(), place).isoformat() for day in (ds, ds + timedelta(days=1)))
    return And(GreaterThanOrEqual(term=column, value=start), LessThan(term=column, value=end))


def _schema(lake: Lake, table: str, snapshot_id: int) -> Schema:
    loaded = lake.table(table)
    snapshot: Any = loaded.snapshot_by_id(snapshot_id)
    return loaded.schemas()[snapshot.schema_id] if snapshot.schema_id is not None else loaded.schema()

"""All rows of a relational store as lines of JSON, and back, into the same kind of database or another.

The tables are those that the database has (reflected), so that a store of ours and one of MLflow's are read alike. A
time without a zone is UTC. The revision of the schema is Alembic's and stays out of the rows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Column, Connection, Engine, MetaData, Table, column, func, inspect, select, table, text

_REVISION = "alembic_version"
_AT_ONCE = 1000  # rows


@dataclass(frozen=True)
class Moment:
    """The revision of the schema, None where there is none yet, and each table that has rows with these, a line each.

    A table's lines are read before the next table is asked for.
    """

    revision: str | None
    tables: Iterator[tuple[str, Iterator[bytes]]]


@contextmanager
def one_moment(engine: Engine, only: Collection[str] | None = None) -> Iterator[Moment]:
    """All tables, or those named, as they are at the same moment; writers go on meanwhile."""
    snapshot = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.execution_options(**snapshot).begin() as connection:
        if engine.dialect.name == "sqlite" and not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN")  # its driver begins at the first write only
        yield Moment(revision(connection), _lines(connection, only))


def revision(connection: Connection) -> str | None:
    """Alembic's, of the schema; None where there is no schema yet."""
    if not inspect(connection).has_table(_REVISION):
        return None
    return connection.execute(select(column("version_num")).select_from(table(_REVISION))).scalar()


def counts(connection: Connection, only: Collection[str] | None = None) -> dict[str, int]:
    """Rows of each table that has any, of all tables or of those named."""
    counted = select(func.count())
    found = {one.name: connection.execute(counted.select_from(one)).scalar_one() for one in _tables(connection, only)}
    return {name: number for name, number in found.items() if number}


def _lines(connection: Connection, only: Collection[str] | None) -> Iterator[tuple[str, Iterator[bytes]]]:
    for one in _tables(connection, only):
        kept = [part for part in one.columns if part.computed is None]
        asked = select(*kept).order_by(*one.primary_key)
        rows = iter(connection.execute(asked, execution_options={"yield_per": _AT_ONCE}))
        first = next(rows, None)
        if first is not None:
            yield one.name, (_line(row) for source in ((first,), rows) for row in source)


def load(connection: Connection, rows: Mapping[str, Callable[[], Iterable[bytes]]]) -> None:
    """Replace the rows of those tables, in the transaction of the connection.

    Raises KeyError for a table that the schema lacks.
    """
    tables = {one.name: one for one in _tables(connection, None)}
    if strange := sorted(rows.keys() - tables.keys()):
        raise KeyError(", ".join(strange))
    for one in reversed(tables.values()):
        if one.name in rows:
            connection.execute(one.delete())
    for name, one in tables.items():
        if name in rows:
            _insert(connection, one, (json.loads(line) for line in rows[name]()))
    if connection.dialect.name == "postgresql":
        for one in tables.values():
            _number_on(connection, one)


def _tables(connection: Connection, only: Collection[str] | None) -> list[Table]:
    """Those that others refer to come first."""
    metadata = MetaData()
    metadata.reflect(connection)
    found = [one for one in metadata.sorted_tables if one.name != _REVISION and (only is None or one.name in only)]
    for part in (part for one in found for part in one.columns):
        if isinstance(part.type, JSON):
            part.type.none_as_null = bool(part.nullable)
    return found


def _insert(connection: Connection, into: Table, rows: Iterator[dict[str, Any]]) -> None:
    while block := list(islice(rows, _AT_ONCE)):
        values = [{name: _taken(into.columns[name], value) for name, value in row.items()} for row in block]
        connection.execute(into.insert(), values)


def _number_on(connection: Connection, one: Table) -> None:
    """The next row gets a number after those that are there."""
    for key in one.primary_key:
        if key.type.python_type is int:
            asked = {"named": one.name, "key": key.name}
            counter = connection.execute(
                text("SELECT pg_get_serial_sequence(quote_ident(:named), :key)"), asked
            ).scalar()
            last = connection.execute(select(func.max(key))).scalar()
            if counter and last is not None:
                connection.execute(text("SELECT setval(:counter, :last)"), {"counter": counter, "last": max(last, 1)})


def _line(row: Any) -> bytes:
    return json.dumps(dict(row._mapping), default=_told, separators=(",", ":")).encode()  # noqa: SLF001 - its public name


def _told(value: Any) -> Any:
    match value:
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
        case date():
            return value.isoformat()
        case bytes() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case Decimal():
            return str(value)
    raise TypeError(f"expected a value of a row, found {type(value).__name__}")


def _taken(into: Column[Any], value: Any) -> Any:
    """What was told as JSON, as a value of the column."""
    if value is None or isinstance(into.type, JSON):
        return value
    kind = into.type.python_type
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware if getattr(into.type, "timezone", False) else aware.astimezone(UTC).replace(tzinfo=None)
    if kind is date:
        return date.fromisoformat(value)
    if kind is bytes:
        return base64.b64decode(value)
    return kind(value)

"""Upstream as each kind of source sees it: the same rows as files, as a table of the lake, as a table of a database."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr
from sqlalchemy import create_engine

from tests.integration.ingest.bundle import ZONE, Bundle, csv, json_lines

Rows = Sequence[Mapping[str, Any]]
TYPES = {"sensor": "text", "slot": "int", "at": "time", "value": "double", "note": "text", "known_at": "time"}
ARROW = {"text": pa.string(), "int": pa.int32(), "time": pa.timestamp("us", "UTC"), "double": pa.float64()}


class Upstream(Protocol):
    """`put` leaves those rows as the day's, in columns of those types (as in TYPES, in the order given).

    A table then holds that day alone: its columns are those of all its rows.
    """

    source: str
    typed: bool
    """Whether a column's type is known before its values are looked at."""

    def put(self, ds: date, rows: Rows, types: Mapping[str, str] = TYPES) -> None: ...

    def close(self) -> None: ...


class Files:
    def __init__(self, bundle: Bundle, form: str) -> None:
        self._bundle, self._form = bundle, form
        self.source = f'format: {form}\n  path: "{bundle.readings}/{{ds}}.{form}"'
        self.typed = form == "parquet"

    def put(self, ds: date, rows: Rows, types: Mapping[str, str] = TYPES) -> None:
        chosen = [{name: row[name] for name in types} for row in rows]
        written = {"csv": lambda: csv(chosen, list(types)), "json": lambda: json_lines(chosen)}
        self._bundle.land(self._bundle.readings, ds, written.get(self._form, lambda: _parquet(chosen, types))())

    def close(self) -> None: ...


class LakeTable:
    def __init__(self, bundle: Bundle) -> None:
        self._lake = bundle.platform().lake
        self.table = f"upstream_{bundle.mark}.readings"
        self.source = f"format: iceberg\n  table: {self.table}\n  day: at"
        self.typed = True

    def put(self, ds: date, rows: Rows, types: Mapping[str, str] = TYPES) -> None:  # noqa: ARG002
        table = _table(rows, types)
        self._lake.catalog.create_namespace_if_not_exists(self.table.partition(".")[0])
        self.close()
        self._lake.catalog.create_table(self.table, table.schema).append(table)

    def close(self) -> None:
        if self._lake.catalog.table_exists(self.table):
            self._lake.catalog.drop_table(self.table)


class Database:
    def __init__(self, bundle: Bundle, url: str) -> None:
        bundle.settings.source_urls["shop"] = SecretStr(url)
        self.url, self.table = url, f"readings_{uuid4().hex[:8]}"
        day = "substr(cast(at as text), 1, 10)"
        self.source = (
            f"format: jdbc\n  connection: shop\n  query: \"select * from {self.table} where {day} = '{{ds}}'\""
        )
        self.typed = False
        bundle.settings.state.mkdir(exist_ok=True)
        self.put(date.min, [])

    def put(self, ds: date, rows: Rows, types: Mapping[str, str] = TYPES) -> None:  # noqa: ARG002
        kinds = {"text": "text", "int": "integer", "time": self._time, "double": "double precision"}
        columns = ", ".join(f'"{name}" {kinds[kind]}' for name, kind in types.items())
        self.run(f"drop table if exists {self.table}", f"create table {self.table} ({columns})")
        for row in rows:
            values = ", ".join("null" if row.get(name) is None else f"'{row[name]}'" for name in types)
            self.run(f"insert into {self.table} values ({values})")

    @property
    def _time(self) -> str:
        return "timestamp" if self.url.startswith("postgresql") else "text"

    def run(self, *statements: str) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def close(self) -> None:
        self.run(f"drop table if exists {self.table}")


# Made on a bundle, and on a Postgres that is started when its address is asked for.
KINDS: dict[str, Callable[[Bundle, Callable[[], str]], Upstream]] = {
    "csv": lambda bundle, _: Files(bundle, "csv"),
    "json": lambda bundle, _: Files(bundle, "json"),
    "parquet": lambda bundle, _: Files(bundle, "parquet"),
    "iceberg": lambda bundle, _: LakeTable(bundle),
    "jdbc sqlite": lambda bundle, _: Database(bundle, f"sqlite:///{bundle.settings.state}/up stream.db"),
    "jdbc postgres": lambda bundle, postgres: Database(bundle, postgres()),
}


def _table(rows: Rows, types: Mapping[str, str]) -> pa.Table:
    def value(row: Mapping[str, Any], name: str) -> Any:
        found = row.get(name)
        if types[name] == "time" and found is not None:
            return datetime.fromisoformat(found).replace(tzinfo=ZONE)
        return str(found) if types[name] == "text" and found is not None else found

    return pa.table({name: pa.array([value(row, name) for row in rows], ARROW[kind]) for name, kind in types.items()})


def _parquet(rows: Rows, types: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    pq.write_table(_table(rows, types), file)
    return file.getvalue()

"""The shape of an exported table: made from the rows' columns, or found and required to fit them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from pyarrow import types as arrow
from sqlalchemy.engine.interfaces import Dialect

from include.mlops.errors import ExportFailed


@dataclass(frozen=True)
class _Kind:
    """The type that is made, and those of a table that is there already which hold its values whole."""

    made: sa.types.TypeEngine[Any]
    fits: tuple[type[sa.types.TypeEngine[Any]], ...]


_KINDS = (
    (arrow.is_string, _Kind(sa.Text(), (sa.String,))),
    (arrow.is_int32, _Kind(sa.Integer(), (sa.Integer, sa.Numeric))),
    (arrow.is_int64, _Kind(sa.BigInteger(), (sa.BigInteger, sa.Numeric))),
    (arrow.is_floating, _Kind(sa.Double(), (sa.Double, sa.Numeric))),
    (arrow.is_boolean, _Kind(sa.Boolean(), (sa.Boolean,))),
    (arrow.is_date, _Kind(sa.Date(), (sa.Date,))),
    (arrow.is_timestamp, _Kind(sa.DateTime(timezone=True), (sa.DateTime,))),
)
_ON_SQLITE = {sa.BigInteger: sa.Integer, sa.Double: sa.Float}  # where an INTEGER or a REAL has 8 bytes


def table_of(name: str, schema: pa.Schema, keys: Sequence[str]) -> sa.Table:
    """`name` (perhaps with its schema) with those columns, its primary key (ds, `keys`)."""
    where, _, short = name.rpartition(".")
    primary = ["ds", *keys]
    columns = [
        sa.Column(field.name, _kind(field).made, primary_key=field.name in primary, autoincrement=False)
        for field in schema
    ]
    return sa.Table(short, sa.MetaData(), *columns, sa.PrimaryKeyConstraint(*primary), schema=where or None)


def require_fit(connection: sa.Connection, table: sa.Table, schema: pa.Schema) -> None:
    """Make `table` where it is not there. Raises ExportFailed where it is and cannot hold rows of `schema`."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(table.name, table.schema):
        table.create(connection)
        return
    found = {column["name"]: column["type"] for column in inspector.get_columns(table.name, table.schema)}
    faults = [*_column_faults(table, schema, found, connection.dialect), *_key_faults(inspector, table)]
    if faults:
        raise ExportFailed(
            f"the table {table.fullname} does not fit: {'; '.join(faults)}. Nothing was written; change it so, "
            "or drop or rename it, and the next export makes one that fits"
        )


def _column_faults(table: sa.Table, schema: pa.Schema, found: dict[str, Any], dialect: Dialect) -> Iterator[str]:
    for field in schema:
        wanted = table.c[field.name].type.compile(dialect)
        if field.name not in found:
            yield f"expected the column {field.name} {wanted}, found none"
        elif not _fits(_kind(field), found[field.name], dialect):
            yield f"expected the column {field.name} of type {wanted}, found {found[field.name].compile(dialect)}"


def _fits(kind: _Kind, found: sa.types.TypeEngine[Any], dialect: Dialect) -> bool:
    fits = kind.fits
    if dialect.name == "sqlite":
        fits += tuple(_ON_SQLITE[one] for one in fits if one in _ON_SQLITE)
    elif isinstance(found, sa.DateTime) and not found.timezone:
        return False  # the session's time zone would decide what it holds
    return isinstance(found, fits)


def _key_faults(inspector: sa.Inspector, table: sa.Table) -> Iterator[str]:
    name, schema = table.name, table.schema
    unique = [inspector.get_pk_constraint(name, schema)["constrained_columns"]]
    unique += [constraint["column_names"] for constraint in inspector.get_unique_constraints(name, schema)]
    wanted = [column.name for column in table.primary_key.columns]
    if not any(set(columns) == set(wanted) for columns in unique):
        found = ", ".join(unique[0]) or "none"
        yield f"expected the primary key or a unique constraint ({', '.join(wanted)}), found the primary key {found}"


def _kind(field: pa.Field) -> _Kind:
    for holds, kind in _KINDS:
        if holds(field.type):
            return kind
    raise ExportFailed(
        f"expected columns of plain values for a database, found {field.name} of type {field.type}; "
        "name others in columns"
    )

"""Scores in a table of somebody else's database (Postgres or sqlite), a day in one transaction.

Addresses hold passwords: no error or log shows one, nor any text of a driver that does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyarrow as pa
from pydantic import SecretStr
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from include.mlops.errors import ExportFailed, ServiceUnavailable, SettingsError
from include.mlops.exports.table import require_fit, table_of
from include.mlops.sql_errors import passes

PATIENCE = 30  # seconds to wait for a connection, and for another writer's lock
BATCH = 5_000  # rows of one round trip
_LIBPQ = ("psycopg", "psycopg2")


class DayRows:
    """The table `name` behind the SQLAlchemy URL of a connection."""

    def __init__(self, connection: str, url: SecretStr, name: str) -> None:
        """Raises SettingsError where the address is unusable."""
        self._connection, self._name = connection, name
        self._url = _parsed(connection, url)
        self._engine = _engine(connection, self._url)

    @property
    def target(self) -> str:
        return f"jdbc {self._connection}: {self._name} in {self._url.host or self._url.drivername}/{self._url.database}"

    def answers(self) -> None:
        """Raises ServiceUnavailable where the database does not."""
        with self._answering(), self._engine.connect() as connection:
            connection.execute(select(1))

    def replace(self, ds: date, rows: pa.Table, keys: Sequence[str]) -> None:
        """`rows` in place of what the table holds of that day, matched by (ds, `keys`).

        The table is made where there is none; columns of it that `rows` lack are left as they are. Raises ExportFailed
        where it cannot hold `rows`, ServiceUnavailable where the database does not answer.
        """
        table = table_of(self._name, rows.schema, keys)
        wanted = _keys(rows, keys)
        with self._answering(), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(self._name))))  # one export a time
            require_fit(connection, table, rows.schema)
            _delete_all_but(connection, table, ds, wanted, keys)
            statement = _upsert(connection, table)
            for batch in rows.to_batches(max_chunksize=BATCH):
                connection.execute(statement, batch.to_pylist())

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and passes(error):
                raise ServiceUnavailable(
                    f"the database '{self._connection}' did not answer: {self._said(error)}"
                ) from None
            raise ExportFailed(
                f"the database '{self._connection}' refused the rows: {self._said(error)}; nothing was written. "
                f"Correct the table {self._name}, or let another name be made"
            ) from None

    def _said(self, error: SQLAlchemyError) -> str:
        """The driver's own words, which hold neither the statement nor, even by mistake, the password."""
        words = " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
        for secret in (self._url.password, self._url.query.get("password")):
            words = words.replace(str(secret), "***") if secret else words
        return words


def _keys(rows: pa.Table, keys: Sequence[str]) -> set[tuple[Any, ...]]:
    found = set(zip(*(rows[key].to_pylist() for key in keys), strict=True))
    if len(found) < rows.num_rows:
        raise ExportFailed(
            f"expected one row for each {', '.join(keys)}, found {rows.num_rows - len(found)} more than there are of "
            "those; nothing was written. Correct the features of that day, score it again"
        )
    return found


def _delete_all_but(
    connection: Connection, table: Table, ds: date, wanted: set[tuple[Any, ...]], keys: Sequence[str]
) -> None:
    """Rows of that day that are not published any more. Before the upsert: a database may compare keys loosely."""
    held = connection.execute(select(*(table.c[key] for key in keys)).where(table.c.ds == ds))
    gone = [dict(zip(map(_gone, keys), row, strict=True)) for row in held if tuple(row) not in wanted]
    if gone:
        matched = (table.c[key] == bindparam(_gone(key)) for key in keys)
        connection.execute(delete(table).where(table.c.ds == ds, *matched), gone)


def _gone(key: str) -> str:
    return f"gone_{key}"


def _upsert(connection: Connection, table: Table) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: Any = dialect.insert(table)
    rest = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=rest)


def _parsed(connection: str, url: SecretStr) -> URL:
    variable = f"MLOPS_EXPORT_{connection.upper()}_URL"
    try:
        found = make_url(url.get_secret_value())
    except (SQLAlchemyError, ValueError):  # whose words may hold the address
        raise SettingsError(
            f"{variable}: expected an SQLAlchemy URL such as postgresql+psycopg://user:password@host/database, "
            "found something else (it is not shown, since it may hold a password)"
        ) from None
    if found.get_backend_name() not in ("postgresql", "sqlite"):
        raise SettingsError(f"{variable}: expected postgresql or sqlite, found {found.get_backend_name()}")
    return found


def _engine(connection: str, url: URL) -> Engine:
    options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    variable = f"MLOPS_EXPORT_{connection.upper()}_URL"
    try:
        if url.get_backend_name() != "sqlite":
            libpq = url.get_driver_name() in _LIBPQ and "connect_timeout" not in url.query
            return create_engine(url, connect_args={"connect_timeout": PATIENCE} if libpq else {}, **options)
        waits = {} if "timeout" in url.query else {"timeout": PATIENCE}
        engine = create_engine(url, connect_args=waits, **options)
    except ModuleNotFoundError as error:
        raise SettingsError(f"{variable}: expected the package {error.name} to be installed; install it") from None
    except SQLAlchemyError:
        raise SettingsError(f"{variable}: expected a driver that SQLAlchemy knows, found {url.drivername}") from None

    @event.listens_for(engine, "connect")
    def _plain(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, so that making the table is part of it

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # waits for another writer at the start, not half-way

    return engine

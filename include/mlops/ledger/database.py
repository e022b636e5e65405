"""Databases and users of a Postgres server, made where they are missing; sqlite makes its files by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine, func, make_url, select, text
from sqlalchemy.exc import DBAPIError

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.sql_errors import passes

READER = "mlops_reader"
PREPARATION_LOCK = 7_265_002  # beside that of the ledger's migrations
_DATABASE = text("select 1 from pg_database where datname = :name")
_ROLE = text("select 1 from pg_roles where rolname = :name")


@contextmanager
def one_at_a_time(url: str) -> Iterator[None]:
    """Wait for all who hold this on the same server. Raises ServiceUnavailable."""
    address = make_url(url)
    if not _is_postgres(address):
        yield
        return
    with _connected(address.set(database="postgres"), "connect") as connection:
        connection.execute(select(func.pg_advisory_lock(PREPARATION_LOCK)))
        yield


def ensure_database(url: str) -> bool:
    """Create the database that an SQLAlchemy URL names, if its server lacks it; true if it was created.

    Raises ServiceUnavailable, and SettingsError where this user may not create it.
    """
    address = make_url(url)
    if not _is_postgres(address) or not address.database:
        return False
    with _connected(address.set(database="postgres"), f"create the database {address.database}") as connection:
        if connection.execute(_DATABASE, {"name": address.database}).scalar():
            return False
        connection.exec_driver_sql(f"CREATE DATABASE {_quoted(connection, address.database)}")
    return True


def ensure_reader(url: str, password: str) -> bool:
    """Let the user `mlops_reader` read all tables of this database, those to come included, and change nothing; its
    password becomes `password`. False where the database knows no users. Raises ServiceUnavailable, SettingsError.
    """
    address = make_url(url)
    if not _is_postgres(address):
        return False
    with _connected(address, f"make the user {READER}") as connection:
        database, secret = _quoted(connection, address.database or ""), password.replace("'", "''")
        verb = "ALTER" if connection.execute(_ROLE, {"name": READER}).scalar() else "CREATE"
        for statement in (
            f"{verb} ROLE {READER} LOGIN PASSWORD '{secret}'",
            f"ALTER ROLE {READER} SET default_transaction_read_only = on",
            f"GRANT CONNECT ON DATABASE {database} TO {READER}",
            f"GRANT USAGE ON SCHEMA public TO {READER}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READER}",
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    return True


@contextmanager
def _connected(address: URL, what: str) -> Iterator[Connection]:
    """A connection that commits each statement. Errors say `what` was tried, and show no password."""
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if passes(error):
            raise ServiceUnavailable(f"expected Postgres at {address!r} to answer, found: {error.orig}") from None
        raise SettingsError(
            f"expected {address!r} to let its user {what}, found: {error.orig}; give that user the right, or have the "
            "owner of the server do it"
        ) from None
    finally:
        engine.dispose()


def _is_postgres(address: URL) -> bool:
    return address.get_backend_name() == "postgresql"


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)

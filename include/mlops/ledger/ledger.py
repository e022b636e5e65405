"""The ledger: what happened and why, in a relational store (sqlite or Postgres).

The only room that knows SQLAlchemy. Times are UTC; every row says when it was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    column,
    create_engine,
    event,
    func,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception_message, stop_after_delay, wait_random

from include.mlops import stored_rows
from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.ledger.erasures import Erasures
from include.mlops.ledger.exports import Exports
from include.mlops.ledger.incidents import Incidents
from include.mlops.ledger.monitoring import Monitoring
from include.mlops.ledger.plain import dumps
from include.mlops.ledger.publications import Publications
from include.mlops.ledger.releases import Releases
from include.mlops.ledger.tables import metadata
from include.mlops.sql_errors import passes

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = max(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
MIGRATION_LOCK = 7_265_001  # any number that no other application of that Postgres database locks
RESTORING = "restoring "  # and of what, in place of a revision
SQLITE_TIMEOUT = 30.0  # seconds to wait for another writer; `?timeout=` in the URL says otherwise


@dataclass(frozen=True)
class Probed:
    """What stands behind an address, which shows no password; `clock` is the server's, in UTC.

    `revision` is that of the schema, empty where there is none yet.
    """

    place: str
    revision: str
    clock: datetime


class Ledger:
    """Opens the store at `url`; `migrate()` brings its schema up to date."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction that writes. Raises ServiceUnavailable where the store cannot be reached or stays locked."""
        with self._answering(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads: a snapshot that neither waits for a writer nor makes one wait."""
        with self._answering(), self._engine.execution_options(reads=True).begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the schema up to date; processes that do so at once wait for one another.

        Where it is up to date this is one read: every task of every run begins with it.
        """
        found = self._revision()
        if found == HEAD:
            return
        _require_known(self._engine.url, found)
        with self.begin() as connection:
            _upgrade(connection, "head")

    def _revision(self) -> str | None:
        """The revision that the schema is at; None where there is no schema yet."""
        try:
            with self.read() as connection:
                return connection.execute(select(column("version_num")).select_from(table("alembic_version"))).scalar()
        except SettingsError:  # no such table
            return None

    @contextmanager
    def one_moment(self) -> Iterator[stored_rows.Moment]:
        """All rows as they are at this moment, while writers go on."""
        with (
            self._answering(),
            stored_rows.one_moment(self._engine.execution_options(reads=True), metadata.tables) as moment,
        ):
            yield moment

    def counts(self) -> dict[str, int]:
        """Rows of each table that has any."""
        with self.read() as connection:
            return stored_rows.counts(connection, metadata.tables)

    def restoring(self) -> str:
        """What `await_restore` named, until `restore`; else empty."""
        found = self._revision() or ""
        return found.removeprefix(RESTORING) if found.startswith(RESTORING) else ""

    def await_restore(self, of: str, at: str) -> None:
        """Keep everybody out of an empty ledger until `restore`: every task asks for the revision first, and this is
        none that it knows. Raises SettingsError where the ledger is not empty, or `restore` will not take `at`.
        """
        _require_known(self._engine.url, at)
        with self._emptied() as connection:
            mark = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
            mark.create(connection)
            connection.execute(mark.insert().values(version_num=RESTORING + of))

    def restore(self, at: str, rows: Mapping[str, Callable[[], Iterable[bytes]]]) -> None:
        """Fill an empty ledger with rows of the schema's revision `at`, and bring it up to date, in one transaction.

        Raises SettingsError where it is not empty, or where a newer version of this code made those rows.
        """
        _require_known(self._engine.url, at)
        with self._emptied() as connection:
            _upgrade(connection, at)
            stored_rows.load(connection, rows)
            _upgrade(connection, "head")

    @contextmanager
    def _emptied(self) -> Iterator[Connection]:
        """A transaction that begins without our tables."""
        with self.begin() as connection:
            if held := stored_rows.counts(connection, metadata.tables):
                raise SettingsError(
                    f"expected an empty ledger at {self._engine.url!r} (MLOPS_LEDGER_URL), found rows in "
                    f"{', '.join(held)}; name another one"
                )
            found = MetaData()
            found.reflect(connection, only=lambda name, _: name in {*metadata.tables, "alembic_version"})
            found.drop_all(connection)
            yield connection

    def probe(self) -> Probed:
        """Make a table and take that back: the schema stays as it is. Raises ServiceUnavailable, SettingsError."""
        found = self._revision()
        _require_known(self._engine.url, found)
        try:
            with self.begin() as connection:
                now = connection.execute(select(func.current_timestamp())).scalar_one()
                Table(f"mlops_doctor_{uuid4().hex[:12]}", MetaData(), Column("one", Integer)).create(connection)
                connection.rollback()
        except DBAPIError as error:
            raise SettingsError(
                f"expected the ledger at {self._engine.url!r} (MLOPS_LEDGER_URL) to take a table, found: {error.orig}; "
                "give this user the right to make and change tables there"
            ) from error
        clock = now if isinstance(now, datetime) else datetime.fromisoformat(now)
        clock = clock.astimezone(UTC) if clock.tzinfo else clock.replace(tzinfo=UTC)
        return Probed(repr(self._engine.url), found or "", clock)

    def close(self) -> None:
        self._engine.dispose()

    @cached_property
    def publications(self) -> Publications:
        return Publications(self)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self)

    @cached_property
    def exports(self) -> Exports:
        return Exports(self)

    @cached_property
    def releases(self) -> Releases:
        return Releases(self)

    @cached_property
    def monitoring(self) -> Monitoring:
        return Monitoring(self)

    @cached_property
    def incidents(self) -> Incidents:
        return Incidents(self)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if _lacks_schema(error):
                raise SettingsError(
                    f"the ledger at {self._engine.url!r} is behind this code ({error.orig}); "
                    "bring its schema up to date with Ledger(url).migrate()"
                ) from error
            if not passes(error):
                raise
            raise ServiceUnavailable(
                f"the ledger at {self._engine.url!r} (MLOPS_LEDGER_URL) did not answer: {error.orig}"
            ) from error


def _lacks_schema(error: DBAPIError) -> bool:
    """Postgres says it in its own language, but by the same codes: undefined table, undefined column."""
    code = getattr(error.orig, "sqlstate", None)
    return code in ("42P01", "42703") or bool(re.search(r"no such (table|column)|has no column", str(error.orig)))


def _upgrade(connection: Connection, to: str) -> None:
    from alembic import command  # takes longer to import than all else that a task does here
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _require_known(url: URL, revision: str | None) -> None:
    if revision and revision.startswith(RESTORING):
        raise SettingsError(
            f"expected a whole ledger at {url!r}, found that the restore of {revision.removeprefix(RESTORING)} was cut "
            "short, or is under way; go on with it by the same command, or empty this ledger and all that it restored"
        )
    if revision is not None and revision > HEAD:
        raise SettingsError(
            f"expected the ledger at {url!r} at revision {HEAD} or before, found {revision}, which a newer version of "
            "this code made; run that version, or name another ledger in MLOPS_LEDGER_URL"
        )


@retry(
    retry=retry_if_exception_message(match=".*locked"),
    wait=wait_random(max=0.2),
    stop=stop_after_delay(SQLITE_TIMEOUT),
    reraise=True,
)
def _to_wal(connection: Any) -> None:
    """Two processes that open a new database at once race here, and sqlite makes neither of them wait."""
    connection.execute("PRAGMA journal_mode=WAL")


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True, json_serializer=dumps)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    arguments = {} if "timeout" in address.query else {"timeout": SQLITE_TIMEOUT}
    engine = create_engine(address, connect_args=arguments, json_serializer=dumps)

    @event.listens_for(engine, "connect")
    def _wal(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, so that schema changes are transactional
        _to_wal(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        # A writer takes its lock at once: it waits at the start rather than fails half-way.
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine

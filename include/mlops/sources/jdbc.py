"""A query to a relational database, for one day at a time.

Rows come as text and are converted as those of a file are: of a database that keeps other values in a column than it
declares (sqlite), Spark would make zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from include.mlops.compute.jdbc import jdbc_address
from include.mlops.compute.session import read_once
from include.mlops.errors import BrokenSource, EmptySource, ServiceUnavailable, SettingsError, UnreadableSource
from include.mlops.settings import Settings
from include.mlops.sources.source import CORRUPT, DAY, ORIGIN, Look, Raw
from include.mlops.spec.feature_group import FeatureGroup

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOGETHER = 30  # days in one statement
CONNECT_SECONDS = 10
_AS_TEXT = {  # sqlite's own text of a number has 15 digits, which is not the number
    "sqlite": "case typeof({0}) when 'real' then printf('%!.17g', {0}) else cast({0} as text) end",
    "postgresql": "cast({0} as text)",
}


class JdbcQuery:
    """Asked through SQLAlchemy, in process, whether a day is there; read by Spark."""

    def __init__(self, settings: Settings, group: FeatureGroup) -> None:
        self._source = group.source
        self._name = group.name
        self._variable = f"MLOPS_SOURCE_{self._source.connection.upper()}_URL"
        self._secret = settings.source_url(self._source.connection)

    def place(self, ds: date) -> str:
        return f"the query to {self._source.connection} for {ds}"

    def missing(self, ds: date) -> str | None:
        with self._connected() as connection:
            if self._source.ready:
                return (
                    None if self._ready(connection, ds) else f"{self.place(ds)}, which source.ready says is not whole"
                )
            return None if self._first(connection, ds)[1] else f"rows of {self.place(ds)}"

    def look(self, ds: date) -> Look:
        with self._connected() as connection:
            if self._source.ready and not self._ready(connection, ds):
                raise EmptySource(f"expected {self.place(ds)} to be whole, found that source.ready says no; try later")
            names, any_row = self._first(connection, ds)
        if not any_row and self._source.empty == "fail":
            raise EmptySource(f"expected rows of {self.place(ds)}, found none; is source.query of {self._name} right?")
        return Look(dict.fromkeys(names), 1 if any_row else 0)

    def read(self, spark: SparkSession, looks: Mapping[date, Look]) -> Sequence[Raw]:
        alike: dict[tuple[str, ...], list[date]] = {}
        for ds, look in looks.items():
            alike.setdefault(tuple(look.columns), []).append(ds)
        return [
            Raw(
                self._frame(spark, [name for name in names if name in self._source.columns], some), dict.fromkeys(names)
            )
            for names, days in alike.items()
            for some in (days[at : at + TOGETHER] for at in range(0, len(days), TOGETHER))
        ]

    def unreadable(self, spark: SparkSession, looks: Mapping[date, Look]) -> dict[date, BrokenSource]:  # noqa: ARG002
        """None: nothing is read of files that are ours to judge."""
        return {}

    def inputs(self, ds: date) -> dict[str, Any]:  # noqa: ARG002 - a query has no version of its own
        return {}

    def _frame(self, spark: SparkSession, names: Sequence[str], days: Sequence[date]) -> DataFrame:
        from pyspark.sql import functions as F

        quoted = {name: f'"{name}"' for name in names}
        texts = ", ".join(f"{_AS_TEXT[self._backend].format(name)} as {name}" for name in quoted.values())
        # As for any of the users' files, what they wrote is run as it is.
        each = (f"select '{ds}' as {DAY}, {texts} from {self._of(ds)}" for ds in days)  # noqa: S608
        # Read only: to open a file of sqlite for writing would make one where there is none.
        address = jdbc_address(self._secret, self._variable, sqlite="open_mode=1&busy_timeout=30000")
        told = {"driver": address.driver, "url": address.url, "query": " union all ".join(each), **address.login}
        strings = ", ".join(f"`{name}` STRING" for name in [DAY, *names])
        rows = spark.read.format("jdbc").options(**told, customSchema=strings).load()
        origin = F.concat(F.lit(f"jdbc:{self._source.connection}/"), DAY)
        ours = {CORRUPT: F.lit(None).cast("string"), ORIGIN: origin, DAY: F.col(DAY).cast("date")}
        return read_once(rows.select(*names, *(column.alias(name) for name, column in ours.items())))

    def _of(self, ds: date) -> str:
        """The query as a table, whatever it ends with."""
        return f"({self._source.query.replace('{ds}', ds.isoformat())}\n) as of_day"

    def _first(self, connection: Connection, ds: date) -> tuple[list[str], bool]:
        """The names of the columns, and whether there is a row."""
        with self._answering("source.query"):
            found = connection.exec_driver_sql(f"select * from {self._of(ds)} limit 1")  # noqa: S608
            return list(found.keys()), found.first() is not None

    def _ready(self, connection: Connection, ds: date) -> bool:
        with self._answering("source.ready"):
            value = connection.exec_driver_sql(self._source.ready.replace("{ds}", ds.isoformat())).scalar()
        if value is not None and not isinstance(value, (bool, int, float, Decimal)):
            raise UnreadableSource(
                f"expected true, false or a count from source.ready of {self._name}, found {value!r}; correct the query"
            )
        return bool(value and value > 0)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        engine = self._engine
        try:
            connection = engine.connect()
        except DBAPIError as error:
            raise self._unavailable(error) from None
        with connection:
            yield connection.execution_options(no_parameters=True)

    @contextmanager
    def _answering(self, key: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # A source is only read: one that complains of that has a query that writes.
            lost = isinstance(error, (OperationalError, InterfaceError))
            if lost and (self._backend != "sqlite" or "locked" in str(error.orig)):
                raise self._unavailable(error) from None
            raise UnreadableSource(
                f"{key} of {self._name} failed on the connection '{self._source.connection}': {self._told(error)}; "
                "correct the query, or restore what it reads"
            ) from None

    def _unavailable(self, error: DBAPIError) -> ServiceUnavailable:
        place = f"{self._backend} at {self._url.host or self._url.database}"
        return ServiceUnavailable(
            f"the database of the connection '{self._source.connection}' ({place}, {self._variable}) did not answer: "
            f"{self._told(error)}"
        )

    def _told(self, error: DBAPIError) -> str:
        """What the driver says, in one line and without the password."""
        said = " ".join(str(error.orig).split())
        return said.replace(self._url.password, "***") if self._url.password else said

    @property
    def _backend(self) -> str:
        return self._url.get_backend_name()

    @cached_property
    def _url(self) -> URL:
        try:
            url = make_url(self._secret)
        except ArgumentError:
            raise SettingsError(
                f"{self._variable}: expected an address such as postgresql://user:password@host/database, "
                "found what is none (it is not shown: it may hold a password)"
            ) from None
        jdbc_address(self._secret, self._variable, sqlite="")  # or Spark could not read it
        return url

    @cached_property
    def _engine(self) -> Engine:
        url, more = self._url, {}
        if self._backend == "sqlite":
            file = quote(str(Path(str(url.database)).absolute()))
            url = url.set(database=f"file:{file}", query={"mode": "ro", "uri": "true"})
        elif url.get_driver_name() in ("psycopg2", "psycopg"):
            more = {"connect_timeout": CONNECT_SECONDS}
        try:
            return create_engine(url, poolclass=NullPool, connect_args=more, hide_parameters=True)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise SettingsError(
                f"{self._variable}: the Python driver that this address asks for is not installed ({error}); install "
                "it, or name one that is, as in postgresql+psycopg://"
            ) from None

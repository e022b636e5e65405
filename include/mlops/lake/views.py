"""The newest day of a table: `latest` for readers in process, and the Iceberg view `<table>_latest` for SQL engines.

The view is a text that is evaluated when it is read, so it moves with the commit that publishes a day, and no row is
written twice. Its metadata is written here because pyiceberg's SQL catalog knows the models of views but keeps none
(0.12), and because scoring runs without Spark. Format: https://iceberg.apache.org/view-spec/
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from datetime import date

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import RESTError, ViewAlreadyExistsError
from pyiceberg.table import Table
from pyiceberg.view.metadata import (
    SQLViewRepresentation,
    ViewHistoryEntry,
    ViewMetadata,
    ViewRepresentation,
    ViewVersion,
)
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake
from include.mlops.spec.interval import Interval

log = logging.getLogger(__name__)
SUFFIX = "_latest"
_VIEW, _TABLE = "VIEW", "TABLE"


def latest(lake: Lake, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of the newest day of table `name` that has any; no rows where none has."""
    table = lake.table(name)
    current = table.current_snapshot()
    newest = _newest(table) if current else None
    if newest is None:
        return table.schema().as_arrow().empty_table().select(list(columns) if columns else lake.columns(name))
    return lake.read(name, Interval.day(newest), columns, current.snapshot_id if current else None)


def has_latest(lake: Lake, name: str) -> bool:
    """Whether the table has its view."""
    catalog = lake.catalog
    if isinstance(catalog, SqlCatalog):
        return _kind_in_database(catalog, name) == _VIEW
    try:
        return catalog.view_exists(name + SUFFIX)
    except NotImplementedError:
        return False


def ensure_latest(lake: Lake, name: str) -> None:
    """Make the view `<name>_latest` where it does not exist. It reads as the table does, by column name."""
    catalog = lake.catalog
    with available():
        if isinstance(catalog, SqlCatalog):
            _ensure_in_database(lake, catalog, name)
            return
        try:
            _ensure_by_interface(lake, catalog, name)
        except (NotImplementedError, RESTError) as error:
            if type(error) not in (NotImplementedError, RESTError):  # a kind of its own says that something is wrong
                raise
            log.warning("%s keeps no view %s%s: create it by hand", type(catalog).__name__, name, SUFFIX)


def _ensure_by_interface(lake: Lake, catalog: Catalog, name: str) -> None:
    if catalog.view_exists(name + SUFFIX):
        return
    table = lake.table(name)
    namespace, _, short = name.rpartition(".")
    metadata = _metadata(table, namespace, short)
    try:
        catalog.create_view(name + SUFFIX, metadata.schemas[0], metadata.versions[0], metadata.location)
    except ViewAlreadyExistsError:
        log.info("another process made the view %s%s", name, SUFFIX)


def _ensure_in_database(lake: Lake, catalog: SqlCatalog, name: str) -> None:
    found = _kind_in_database(catalog, name)
    if found is not None:
        if found != _VIEW:
            log.warning("%s%s is a table of another model: the view of that name was not made", name, SUFFIX)
        return
    table = lake.table(name)
    namespace, _, short = name.rpartition(".")
    place = f"{table.location()}{SUFFIX}/metadata/00001-{uuid.uuid4()}.metadata.json"
    with table.io.new_output(place).create() as file:
        file.write(_metadata(table, namespace, short).model_dump_json().encode())
    try:
        with catalog.engine.begin() as connection:
            connection.execute(
                insert(IcebergTables).values(**_row(catalog, name), metadata_location=place, iceberg_type=_VIEW)
            )
    except IntegrityError:
        log.info("another process made the view %s%s", name, SUFFIX)


def _row(catalog: SqlCatalog, name: str) -> dict[str, str]:
    """What names the view in the catalog's own table."""
    namespace, _, short = name.rpartition(".")
    return {"catalog_name": catalog.name, "table_namespace": namespace, "table_name": short + SUFFIX}


def _kind_in_database(catalog: SqlCatalog, name: str) -> str | None:
    """Of what is there under the view's name; None where nothing is."""
    query = select(IcebergTables.iceberg_type).filter_by(**_row(catalog, name))
    with catalog.engine.connect() as connection:
        found = connection.execute(query).first()
    return None if found is None else found[0] or _TABLE


def _newest(table: Table) -> date | None:
    """From the counts that the snapshot keeps of its partitions; no data file is opened."""
    partitions = table.inspect.partitions().to_pylist()
    days: list[date] = [entry["partition"]["ds"] for entry in partitions if entry["record_count"]]
    return max(days, default=None)


def _metadata(table: Table, namespace: str, short: str) -> ViewMetadata:
    """The text names no catalog: an engine looks in the one that holds the view, whatever it calls it."""
    listed = ", ".join(f"`{field.name}`" for field in table.schema().fields)
    text = f"SELECT {listed} FROM `{short}` WHERE ds = (SELECT max(ds) FROM `{short}`)"  # noqa: S608 - our own names
    now = int(time.time() * 1000)
    version = ViewVersion(
        **{"version-id": 1, "schema-id": 0, "timestamp-ms": now, "default-namespace": tuple(namespace.split("."))},
        summary={"engine-name": "mlops"},
        representations=[ViewRepresentation(SQLViewRepresentation(type="sql", sql=text, dialect="spark"))],
    )
    return ViewMetadata(
        **{
            "view-uuid": str(uuid.uuid4()),
            "format-version": 1,
            "current-version-id": 1,
            "version-log": [ViewHistoryEntry(**{"timestamp-ms": now, "version-id": 1})],
        },
        location=table.location() + SUFFIX,
        schemas=[table.schema().model_copy(update={"schema_id": 0})],
        versions=[version],
    )

"""The lake: Iceberg tables partitioned by day, read in process; staging and publishing by Spark is in `staging`.

Readers see published rows only: a staged snapshot hangs beside the main branch until it is published.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TypeVar

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, In, LessThanOrEqual
from pyiceberg.table import DataScan, Table
from pyiceberg.types import StringType
from sqlalchemy.exc import IntegrityError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from include.mlops.errors import MlopsError, ServiceUnavailable
from include.mlops.lake.catalog import available, open_catalog
from include.mlops.lake.schema import by_columns, by_day, iceberg_schema
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval

T = TypeVar("T")
# It warns for each batch of texts that are dictionary-encoded on purpose.
logging.getLogger("pyiceberg.io.pyarrow").addFilter(lambda record: "dictionary type" not in record.getMessage())
_OVERTAKEN = (CommitFailedException, ValidationException)  # the table moved on; and files of the same days were added
OWNER = ("mlops.owner", "bundle")
"""The property of every table that is made here: in a catalog that others use too, only those are tended and erased."""
PROPERTIES = {
    OWNER[0]: OWNER[1],
    "commit.retry.num-retries": "30",
    "commit.manifest-merge.enabled": "true",  # else each commit of pyiceberg reads as many manifests as there are days
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
}
STAGED_PROPERTIES = {**PROPERTIES, "write.wap.enabled": "true", "write.distribution-mode": "hash"}


class Lake:
    """Tables by name, such as `features.scheduled_flights_v1`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def catalog(self) -> Catalog:
        with available():
            return open_catalog(self._settings)

    def table(self, name: str) -> Table:
        """Raises MlopsError where there is no such table, FileNotFoundError where its metadata is lost."""
        try:
            with available():
                return self.catalog.load_table(name)
        except NoSuchTableError:
            raise MlopsError(
                f"expected the table {name} in the lake, found none: nothing was published to it yet"
            ) from None

    def exists(self, name: str) -> bool:
        with available():
            return self.catalog.table_exists(name)

    def create(self, name: str, columns: Mapping[str, str], *, staged: bool = False, order: Sequence[str] = ()) -> None:
        """Make the table with one partition a day where it does not exist; `order` sorts the rows of its files.

        Raises MlopsError where one of that name is somebody else's.
        """
        schema = iceberg_schema(columns)
        self.create_namespace(name)
        with available():
            table = self.catalog.create_table_if_not_exists(
                name,
                schema,
                partition_spec=by_day(schema),
                sort_order=by_columns(schema, order),
                properties=STAGED_PROPERTIES if staged else PROPERTIES,
            )
        if not is_ours(table):
            raise MlopsError(
                f"{name}: expected a table that was made here, found one without the property {'='.join(OWNER)} at "
                f"{table.location()}; rename what would write to it, or set the property if the table is yours"
            )

    def create_namespace(self, name: str) -> None:
        """Make the namespace of the table of that name where it does not exist."""
        # Where another process makes it at the same moment, only the database of the catalog says so.
        with available(), suppress(IntegrityError):
            self.catalog.create_namespace_if_not_exists(name.partition(".")[0])

    def columns(self, name: str) -> list[str]:
        return [field.name for field in self.table(name).schema().fields]

    def snapshot(self, name: str) -> int | None:
        """The snapshot that readers see now."""
        current = self.table(name).current_snapshot()
        return current.snapshot_id if current else None

    def show(self, name: str, snapshot_id: int) -> None:
        """Let readers see a snapshot that is kept."""
        commit(lambda: self.table(name).manage_snapshots().set_current_snapshot(snapshot_id).commit())

    def order(self, name: str) -> dict[int, int]:
        """The snapshots that are kept, each with a number that grows from commit to commit."""
        return {one.snapshot_id: one.sequence_number or 0 for one in self.table(name).snapshots()}

    def no_rows(self, name: str) -> pa.Table:
        """The table's columns without rows."""
        return self.table(name).schema().as_arrow().empty_table()

    def batches(
        self, name: str, interval: Interval, columns: Sequence[str] | None = None, snapshot_id: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of those days as record batches, in no particular order, texts dictionary-encoded; at least one batch,
        perhaps without rows.
        """
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        with available():
            selected = tuple(columns) if columns else ("*",)
            scan = self.table(name).scan(_between(interval), selected_fields=selected, snapshot_id=snapshot_id)
            schema = _encoded(schema_to_pyarrow(scan.projection(), include_field_ids=False))
            yield pa.RecordBatch.from_pylist([], schema=schema)
            yield from (batch.cast(schema) for batch in _streamed(scan))

    def read(
        self, name: str, interval: Interval, columns: Sequence[str] | None = None, snapshot_id: int | None = None
    ) -> pa.Table:
        """Rows of those days as one table, its columns in the order asked for."""
        with available():
            selected = tuple(columns) if columns else ("*",)
            scan = self.table(name).scan(_between(interval), selected_fields=selected, snapshot_id=snapshot_id)
            found = scan.to_arrow()
        plain = found.cast(_plain(found.schema))
        return plain.select(list(columns)) if columns else plain

    def tag(self, name: str, tag: str) -> int:
        """Tag what readers see now, unless the tag exists. Returns the tagged snapshot's id."""
        table = self.table(name)
        if tag not in table.refs():
            current = table.current_snapshot()
            if current is None:
                raise MlopsError(f"expected published rows in {name}, found none: nothing to tag")
            commit(lambda: _tag_unless_there(table.refresh(), current.snapshot_id, tag))
        return self.snapshot_of(name, tag)

    def snapshot_of(self, name: str, tag: str) -> int:
        """Raises MlopsError where the table bears no such tag."""
        refs = self.table(name).refs()
        if tag not in refs:
            raise MlopsError(f"expected the tag {tag} on {name}, found {', '.join(sorted(refs)) or 'none'}")
        return refs[tag].snapshot_id

    def replace(self, name: str, rows: pa.Table, days: Sequence[object]) -> int:
        """Replace whole days by `rows` in one atomic commit; a day without rows becomes empty.

        Returns the snapshot's id.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Delete operation did not match any records")  # a day's first rows
            return commit(lambda: _overwritten(self.table(name), rows, days))


def is_ours(table: Table) -> bool:
    return table.properties.get(OWNER[0]) == OWNER[1]


def _streamed(scan: DataScan) -> Iterator[pa.RecordBatch]:
    """File by file, with Arrow's look-ahead of some batches; pyiceberg's own reader (0.12) holds every file of a scan
    before it gives the first batch.
    """
    from pyiceberg.io.pyarrow import ArrowScan  # it loads pandas, which looking for partitions does not need

    texts = tuple(f.name for f in scan.projection().fields if isinstance(f.field_type, StringType))
    arrow = ArrowScan(
        scan.table_metadata,
        scan.io,
        scan.projection(),
        scan.row_filter,
        scan.case_sensitive,
        dictionary_columns=texts,
    )
    for task in scan.plan_files():
        if task.delete_files:
            yield from arrow.to_record_batches([task])
        else:
            yield from arrow._record_batches_from_scan_tasks_and_deletes([task], {})  # noqa: SLF001 - see above


def _plain(schema: pa.Schema) -> pa.Schema:
    """One type for texts: files give `string` or `large_string`, depending on who wrote them."""
    kinds = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return pa.schema([field.with_type(kinds.get(field.type, field.type)) for field in schema])


def _encoded(schema: pa.Schema) -> pa.Schema:
    """As `_plain`, with every text dictionary-encoded, whether its file was or not."""
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(kind) if _is_text(field.type) else field for field in schema])


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _tag_unless_there(table: Table, snapshot_id: int, tag: str) -> None:
    if tag not in table.refs():
        table.manage_snapshots().create_tag(snapshot_id, tag).commit()


def _overwritten(table: Table, rows: pa.Table, days: Sequence[object]) -> int:
    table.overwrite(rows, overwrite_filter=In(term="ds", literals=[str(day) for day in days]))
    return committed(table)


def committed(table: Table) -> int:
    """The snapshot that the commit just made through this object left; a rival's later one is not seen by it."""
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return snapshot.snapshot_id


def _between(interval: Interval) -> BooleanExpression:
    return And(
        GreaterThanOrEqual(term="ds", value=str(interval.first)), LessThanOrEqual(term="ds", value=str(interval.last))
    )


@retry(
    retry=retry_if_exception_type(_OVERTAKEN),
    wait=wait_random_exponential(max=2),
    stop=stop_after_attempt(30),
    reraise=True,
)
def _attempt(action: Callable[[], T]) -> T:
    return action()


def commit(action: Callable[[], T]) -> T:
    """What the action returns; it loads the table anew each time it is done again, as another writer was faster."""
    try:
        with available():
            return _attempt(action)
    except _OVERTAKEN as error:
        raise ServiceUnavailable(f"another writer kept the table busy through 30 attempts: {error}") from error

"""Drafts: data files of whole days, written in process beside a table; no reader sees them before `publish`.

What `staging` is for Spark. pyiceberg has no staged snapshots, but a file that no snapshot names is just as invisible:
the rows are written while their gate's statistics accumulate, and one commit adds the files of the days that passed.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Collection, Iterable
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types as arrow
from pyiceberg.expressions import In
from pyiceberg.io import OutputStream
from pyiceberg.table import Table

from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake, commit, committed

ROW_GROUP = 1 << 20


class Draft:
    """Files of some days of a table. Days are published once; what is not published is discarded."""

    def __init__(self, lake: Lake, table: str) -> None:
        self._lake, self._name = lake, table
        self._table = lake.table(table)
        self._files: dict[date, str] = {}

    def write(self, ds: date, batches: Iterable[pa.RecordBatch]) -> int:
        """Write the rows of one day (columns of the table, `ds` the same in each). Returns their number.

        Texts may be dictionary-encoded: the file holds plain ones. Whatever the iterable raises passes through, and
        leaves no file.
        """
        place = f"{self._table.location()}/data/ds={ds}/{uuid.uuid4()}.parquet"
        rows, writer = 0, None
        try:
            with available(), self._table.io.new_output(place).create() as file:
                for batch in batches:
                    if not batch.num_rows:
                        continue  # a group of no rows has no statistics, by which its day is known
                    writer = writer or _writer(file, batch.schema)
                    writer.write_batch(batch, row_group_size=ROW_GROUP)
                    rows += batch.num_rows
                if writer:
                    writer.close()
        except BaseException:
            self._delete(place)
            raise
        if rows:
            self._files[ds] = place
        else:
            self._delete(place)
        return rows

    def publish(self, days: Collection[date]) -> int:
        """Replace `days` by what was written of them, in one commit; a day without rows becomes empty.

        Returns the id of the snapshot that holds them. The files of other days are deleted.
        """
        files = [self._files[ds] for ds in sorted(days) if ds in self._files]
        snapshot = commit(lambda: _replace(self._lake.table(self._name), days, files))
        for place in files:
            self._files = {ds: other for ds, other in self._files.items() if other != place}
        self.discard()
        return snapshot

    def discard(self) -> None:
        """Delete what was written and not published."""
        for place in self._files.values():
            self._delete(place)
        self._files = {}

    def _delete(self, place: str) -> None:
        with available():
            if self._table.io.new_input(place).exists():
                self._table.io.delete(place)


def _writer(file: OutputStream, schema: pa.Schema) -> pq.ParquetWriter:
    """Dictionaries for what repeats: of scores and long keys they take twice the time, and a third more of the file."""
    rarely = (arrow.is_floating, arrow.is_int64)
    repeats = [field.name for field in schema if not any(is_such(field.type) for is_such in rarely)]
    # Without Arrow's own schema in the file, a dictionary is read as what it encodes.
    return pq.ParquetWriter(
        file, schema, compression="zstd", compression_level=1, use_dictionary=repeats, store_schema=False
    )


def _replace(table: Table, days: Collection[date], files: list[str]) -> int:
    replaced = In(term="ds", literals=[str(ds) for ds in days])
    with warnings.catch_warnings(), table.transaction() as transaction:
        warnings.filterwarnings("ignore", "Delete operation did not match any records")  # a day's first rows
        if not files:  # an overwrite leaves a snapshot also where nothing was there before
            transaction.overwrite(table.schema().as_arrow().empty_table(), overwrite_filter=replaced)
        else:
            transaction.delete(replaced)
            transaction.add_files(files, check_duplicate_files=False)  # their names are unique
    return committed(table)

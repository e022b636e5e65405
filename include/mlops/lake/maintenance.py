"""Keeping a table small: snapshots expire, days of many small files are written as few, stray files are deleted.

Each is a commit of its own that no reader notices: rows stay what they are, and so do their digests.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime

from pyiceberg.table import Table
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from include.mlops.lake import snapshots
from include.mlops.lake.catalog import CATALOG, available
from include.mlops.lake.lake import Lake, commit

MAINTAINED = "mlops.maintained-at"
"""The table property that says when a table was last gone through."""
SMALL = 32 << 20  # bytes; two of these are read as fast as one file of twice the size
MANY = 5
_OVERTAKEN = re.compile(r"\b(ValidationException|CommitFailedException)\b")
"""What Iceberg throws where the day was published meanwhile, or another writer was faster each time."""


def maintained_at(table: Table) -> datetime | None:
    """None where nobody has done so."""
    told = table.properties.get(MAINTAINED)
    return datetime.fromisoformat(told) if told else None


def mark_maintained(lake: Lake, name: str, at: datetime) -> None:
    def mark() -> None:
        with lake.table(name).transaction() as transaction:
            transaction.set_properties({MAINTAINED: at.astimezone(UTC).isoformat()})

    commit(mark)


def scattered(lake: Lake, name: str, many: int = MANY) -> list[date]:
    """Days that lie in at least `many` small files, those with the most first."""
    with available():
        files = [task.file for task in lake.table(name).scan().plan_files()]
    counts = Counter(snapshots.day_of(file.partition[0]) for file in files if file.file_size_in_bytes < SMALL)
    return [ds for ds, number in counts.most_common() if number >= many]


def compact(lake: Lake, spark: SparkSession, name: str, ds: date) -> bool:
    """Write the small files of a day as few, in one commit, in the table's own order of rows.

    Whether that went through: not where the day was published again meanwhile, which leaves it as published. Raises
    what Spark raises.
    """
    strategy = "binpack" if lake.table(name).sort_order().is_unsorted else "sort"
    options = f"map('min-input-files', '2', 'min-file-size-bytes', '{SMALL}')"
    chosen = f"strategy => '{strategy}', where => 'ds = DATE ''{ds}''', options => {options}"
    try:
        spark.sql(f"CALL {CATALOG}.system.rewrite_data_files(table => '{name}', {chosen})").collect()
    except PySparkException as error:
        if not _OVERTAKEN.search(str(error).partition("JVM stacktrace")[0]):
            raise
        return False
    return True


def sweep(lake: Lake, name: str, before: datetime, *, dry_run: bool = False) -> int:
    """Delete files of the table that nothing names and that are older than `before`. Returns their number."""
    found = snapshots.orphans(lake, name, before)
    return len(found) if dry_run else snapshots.delete(lake.table(name), found)

"""A table whose files were copied elsewhere reads there as before, for Python and for Spark, at every snapshot."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from include.mlops.errors import MlopsError
from include.mlops.lake.lake import Lake
from include.mlops.lake.reachable import TableState, state_of
from include.mlops.lake.relocation import Move, register, relocated
from include.mlops.lake.staging import frame, publish, stage
from include.mlops.spec.interval import Interval
from tests.conftest import ON_CLUSTER

pytestmark = [pytest.mark.slow, pytest.mark.skipif(ON_CLUSTER, reason="it moves files of a disk")]
DAYS = Interval(date(2013, 3, 1), date(2013, 3, 3))


@pytest.fixture
def written(lake: Lake, spark: SparkSession, table: str) -> str:
    """By Spark and by Python, with a tag on its first snapshot and one that is staged and no more."""
    for value, days in ((1, list(DAYS)), (2, [DAYS.first]), (3, [DAYS.last])):
        rows = spark.createDataFrame([("a", value, ds) for ds in days], "key string, value int, ds date")
        staged = stage(lake, spark, table, rows, days)
        if value < 3:
            publish(lake, spark, staged, days)
        if value == 1:
            lake.tag(table, "first")
    lake.replace(table, lake.no_rows(table), [date(2013, 3, 2)])
    return table


def _moved(lake: Lake, state: TableState) -> str:
    """Its name; the files of the original are gone."""
    old = Path(state.location.removeprefix("file://"))
    new = old.with_name(f"{old.name}_moved")
    for file in state.files:
        (new / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(old / file.path, new / file.path)
    move = Move(state.location, new.as_uri())
    address = ""
    for address, content in relocated(state.files, move, lambda path: (old / path).read_bytes()):
        Path(address.removeprefix("file://")).write_bytes(content)
    name = f"{state.name}_moved"
    register(lake, name, address)
    register(lake, name, address)  # again changes nothing
    shutil.rmtree(old)
    return name


def test_a_moved_table_reads_as_before_at_every_snapshot_and_takes_new_rows(
    lake: Lake, spark: SparkSession, written: str
) -> None:
    before = lake.table(written)
    snapshots = [snapshot.snapshot_id for snapshot in before.snapshots()]
    seen = {one: lake.read(written, DAYS, snapshot_id=one).sort_by("ds").to_pylist() for one in snapshots}
    now = lake.read(written, DAYS).sort_by("ds").to_pylist()
    moved = _moved(lake, state_of(lake, written))

    assert lake.read(moved, DAYS).sort_by("ds").to_pylist() == now
    assert lake.snapshot_of(moved, "first") == snapshots[0]
    assert len(snapshots) >= 4
    for one in snapshots:
        assert lake.read(moved, DAYS, snapshot_id=one).sort_by("ds").to_pylist() == seen[one]
        rows = [row.asDict() for row in frame(spark, moved, one).orderBy("ds").collect()]
        assert rows == seen[one]
    staged = stage(
        lake,
        spark,
        moved,
        spark.createDataFrame([("b", 4, DAYS.first)], "key string, value int, ds date"),
        [DAYS.first],
    )
    publish(lake, spark, staged, [DAYS.first])
    assert lake.read(moved, Interval.day(DAYS.first)).to_pylist() == [{"key": "b", "value": 4, "ds": DAYS.first}]


def test_the_files_of_a_table_are_named_once_each_with_their_sizes(lake: Lake, written: str) -> None:
    state = state_of(lake, written)
    paths = [file.path for file in state.files]
    assert len(paths) == len(set(paths))
    for file in state.files:
        found = Path(state.address(file).removeprefix("file://")).stat().st_size
        assert file.size in (None, found)


def test_a_table_with_delete_files_is_refused_with_what_to_do(lake: Lake, spark: SparkSession, written: str) -> None:
    spark.sql(f"ALTER TABLE lake.{written} SET TBLPROPERTIES ('write.delete.mode'='merge-on-read')")
    rows = spark.createDataFrame([(key, 9, DAYS.first) for key in "ab"], "key string, value int, ds date")
    publish(lake, spark, stage(lake, spark, written, rows.coalesce(1), [DAYS.first]), [DAYS.first])
    spark.sql(f"DELETE FROM lake.{written} WHERE key = 'a' AND value = 9")
    with pytest.raises(MlopsError, match=r"expected no delete files.*rewrite_data_files"):
        state_of(lake, written)


def test_another_table_of_that_name_is_not_replaced(lake: Lake, written: str) -> None:
    with pytest.raises(MlopsError, match="found one at"):
        register(lake, written, "file:///elsewhere/metadata.json")

"""Maintenance: what is old and unnamed goes, what anybody refers to stays, and no row changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from include.mlops.errors import MlopsError, ServiceUnavailable
from include.mlops.lake import snapshots
from include.mlops.lake.checkpoints import StoredCheckpoints
from include.mlops.lake.maintenance import MANY, compact, maintained_at
from include.mlops.local.ports import free_port
from include.mlops.settings import Settings
from include.mlops.steps.erasure.plan import plan
from include.mlops.steps.handover import unpack
from include.mlops.steps.inputs.dependents import stale_everywhere
from include.mlops.steps.maintenance import Maintained, delete_old_reports, maintain
from include.mlops.steps.spark_steps import Order, carry
from include.mlops.steps.training.reproduce import reproduce
from include.mlops.steps.training.train import train
from tests.aws import aws, bucket
from tests.integration.maintenance.conftest import small_world
from tests.integration.scoring.world import A_DAY, FLIGHTS, OUTCOMES, V1_AS_OF, World, day, days, flights

pytestmark = pytest.mark.slow
TABLE = FLIGHTS.table
LATER = datetime.now(UTC) + timedelta(days=40)
LATER_STILL = datetime.now(UTC) + timedelta(days=400)
"""When everything that a test makes is older than `snapshot_days`."""


def _files(world: World, table: str = TABLE) -> set[Path]:
    folder = Path(world.platform.lake.table(table).location().removeprefix("file://"))
    return {path for path in folder.rglob("*") if path.is_file()}


def _ids(world: World, table: str = TABLE) -> set[int]:
    return {one.snapshot_id for one in world.platform.lake.table(table).snapshots()}


def test_old_snapshots_go_with_their_files_and_readers_see_the_same_rows(world: World) -> None:
    for _ in range(3):
        world.publish_flights(5, wind=[1.0] * A_DAY)
    before = world.platform.lake.read(TABLE, days(1, 30))
    files, kept = len(_files(world)), world.platform.lake.snapshot(TABLE)

    assert maintain(world.platform).tables[0].expired == 0, "nothing is old yet"
    done = {one.table: one for one in maintain(world.platform, LATER).tables}

    assert done[TABLE].expired > 0
    assert done[TABLE].files > 0
    assert _ids(world) == {kept}
    assert len(_files(world)) < files
    assert world.platform.lake.read(TABLE, days(1, 30)).equals(before)


def test_what_tags_and_versions_refer_to_is_never_expired(world: World) -> None:
    trained = train(world.platform, world.model, day(V1_AS_OF), "training")
    for number in range(2, V1_AS_OF + 1):
        world.publish_flights(number, wind=[9.0] * A_DAY)

    done = {one.table: one for one in maintain(world.platform, LATER).tables}

    assert done[TABLE].expired > 0
    assert reproduce(world.platform, world.model.name, trained.version).sha256 == trained.sha256
    version = world.platform.registry.version(world.model.name, trained.version)
    table = world.platform.lake.table(TABLE)
    table.manage_snapshots().remove_tag(version.tag("mlops.data_tag")).commit()
    maintain(world.platform, LATER)
    assert int(version.tag("mlops.features_snapshot")) in _ids(world), "the record of the version holds it alone"


def test_nothing_looks_out_of_date_after_it(world: World) -> None:
    train(world.platform, world.model, day(V1_AS_OF), "training")
    world.live(1, V1_AS_OF + 1)
    world.score(16, 18)
    world.measure(16, 18)
    assert stale_everywhere(world.platform, world.model.name, days(16, 18)) == []

    maintain(world.platform, LATER)

    assert stale_everywhere(world.platform, world.model.name, days(16, 18)) == []
    assert world.score(16).rows == {day(16): A_DAY}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World) -> None:
    world.publish_flights(5, wind=[1.0] * A_DAY)
    files, ids = _files(world), _ids(world)

    told = maintain(world.platform, LATER, dry_run=True)

    assert (_files(world), _ids(world)) == (files, ids)
    assert [(one.expired, one.files) for one in told.tables] == [
        (one.expired, one.files) for one in maintain(world.platform, LATER).tables
    ]


def test_a_table_of_somebody_else_in_a_namespace_of_ours_is_left_alone(world: World) -> None:
    rows, lake = pa.table({"key": ["x"]}), world.platform.lake
    theirs = lake.catalog.create_table("features.clicks", rows.schema)
    for _ in range(2):
        theirs.append(rows)
    raw = Path(theirs.location().removeprefix("file://")) / "raw.parquet"
    raw.write_bytes(b"what they landed")
    os.utime(raw, (0, 0))

    done = maintain(world.platform, LATER)

    assert TABLE in {one.table for one in done.tables}
    assert "features.clicks" not in {one.table for one in done.tables}
    assert raw.exists()
    assert len(lake.table("features.clicks").snapshots()) == 2


def test_stray_files_go_once_no_run_can_hold_them_any_more(world: World) -> None:
    folder = next(iter(_files(world))).parent.parent / "data" / "ds=2013-01-05"
    folder.mkdir(parents=True, exist_ok=True)
    stray, young = folder / "stray.parquet", folder / "young.parquet"
    for path in (stray, young):
        path.write_bytes(b"left by a task that was killed")
    long_ago = time.time() - 4 * 86400
    os.utime(stray, (long_ago, long_ago))
    rows = world.platform.lake.read(TABLE, days(1, 30))

    assert {one.table: one.stray for one in maintain(world.platform).tables}[TABLE] == 1

    assert (stray.exists(), young.exists()) == (False, True)
    assert world.platform.lake.read(TABLE, days(1, 30)).equals(rows)


def test_nothing_is_swept_where_the_folder_is_not_the_tables(world: World) -> None:
    lake = world.platform.lake
    current = lake.table(TABLE).current_snapshot()
    assert current
    Path(current.manifest_list.removeprefix("file://")).rename(
        Path(current.manifest_list.removeprefix("file://") + "x")
    )

    with pytest.raises((MlopsError, FileNotFoundError)):
        snapshots.orphans(lake, TABLE, LATER)


def test_a_budget_that_is_spent_ends_it_and_the_next_run_goes_on(world: World) -> None:
    def clock_of(tables: int) -> Callable[[], float]:
        """Spent once so many tables were begun."""
        told = iter([0.0] * (1 + tables))
        return lambda: next(told, 1e9)

    first = maintain(world.platform, clock=clock_of(1))
    second = maintain(world.platform, clock=clock_of(1))

    assert ([one.table for one in first.tables], first.waiting) == ([TABLE], (OUTCOMES.table,))
    assert [one.table for one in second.tables] == [OUTCOMES.table]


def test_tables_that_others_keep_in_the_catalog_are_left_alone(world: World) -> None:
    lake = world.platform.lake
    lake.create("theirs.bookings", {"name": "string", "ds": "date"})
    for _ in range(3):
        lake.replace("theirs.bookings", lake.no_rows("theirs.bookings"), [day(1)])
    ids = _ids(world, "theirs.bookings")

    assert "theirs.bookings" not in [one.table for one in maintain(world.platform, LATER).tables]

    assert _ids(world, "theirs.bookings") == ids


def test_old_checkpoints_and_reports_go(world: World) -> None:
    settings = world.platform.settings
    stored = StoredCheckpoints.of(settings.warehouse, world.model.name, "key", 1)
    stored.keep(1, b"state")
    report = settings.reports / "drift" / "late" / "2013-01-05.html"
    report.parent.mkdir(parents=True)
    report.write_text("page")

    assert (maintain(world.platform).checkpoints, report.exists()) == (0, True)
    done = maintain(world.platform, LATER_STILL)

    assert (done.checkpoints, delete_old_reports(settings, LATER_STILL)) == (1, 1)
    assert (list(stored.left()), report.exists()) == ([], False)


def test_a_day_of_many_files_becomes_one_and_stays_what_it_is(spark_world: World) -> None:
    world, lake = spark_world, spark_world.platform.lake
    train(world.platform, world.model, day(V1_AS_OF), "training")
    world.live(1, V1_AS_OF + 1)
    pieces = flights(day(16))
    table = lake.table(TABLE)
    lake.replace(TABLE, pieces.slice(0, 20).select(lake.columns(TABLE)), [day(16)])
    for start in range(20, A_DAY, 20):
        table.refresh().append(pieces.slice(start, 20).select(lake.columns(TABLE)))
    world.score(16, 18)
    before = lake.read(TABLE, days(1, 30)).sort_by([("ds", "ascending"), ("flight", "ascending")])

    done = {one.table: one for one in maintain(world.platform).tables}

    assert done[TABLE].compacted == 1
    (compacted,) = [task.file.file_path for task in lake.table(TABLE).scan(f"ds = '{day(16)}'").plan_files()]
    held = pq.read_table("/" + compacted.removeprefix("file:").lstrip("/"))
    assert held.equals(held.sort_by([("carrier", "ascending"), ("flight", "ascending")])), "in the table's order"
    counts = [task.file.partition[0] for task in lake.table(TABLE).scan().plan_files()]
    assert len(counts) == len(set(counts)) == 30
    assert lake.read(TABLE, days(1, 30)).sort_by([("ds", "ascending"), ("flight", "ascending")]).equals(before)
    assert stale_everywhere(world.platform, world.model.name, days(16, 18)) == []
    assert reproduce(world.platform, world.model.name, 1).version == 1
    assert maintain(world.platform, LATER).tables[0].compacted == 0


def test_spark_that_does_not_answer_leaves_days_scattered_and_holds_up_nothing_else(
    settings_of: Callable[..., Settings],
) -> None:
    world = small_world(settings_of(spark_remote=f"sc://127.0.0.1:{free_port()}"))
    table = world.platform.lake.table(TABLE)
    for _ in range(MANY):
        table.refresh().append(flights(day(16), 20).select(world.platform.lake.columns(TABLE)))
    stray = Path(table.location().removeprefix("file://")) / "data" / "stray.parquet"
    stray.write_bytes(b"left by a task that was killed")
    long_ago = time.time() - 4 * 86400
    os.utime(stray, (long_ago, long_ago))

    done = maintain(world.platform)

    assert [(one.table, one.compacted, one.stray, one.left) for one in done.tables] == [
        (TABLE, 0, 1, ""),
        (OUTCOMES.table, 0, 0, ""),
    ]
    assert "expected a Spark Connect server" in done.uncompacted
    assert maintained_at(world.platform.lake.table(TABLE))
    assert done.waiting == ()

    for _ in range(MANY):
        table.refresh().append(flights(day(16), 20).select(world.platform.lake.columns(TABLE)))
    with pytest.raises(ServiceUnavailable, match=f"stayed as they are: compacting {TABLE} of 2013-01-16"):
        _carried(world).require_done()


def test_a_table_that_could_not_be_tended_fails_the_task_at_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _carried(world).require_done()

    def refuses(*_: object) -> None:
        raise OSError("the disk has a bad block")

    monkeypatch.setattr(snapshots, "expire", refuses)
    with pytest.raises(MlopsError, match=r"2 table\(s\) could not be tended\n.*bad block"):
        _carried(world).require_done()


def test_a_table_that_lost_its_metadata_is_told_and_holds_up_no_other(world: World) -> None:
    lost = world.platform.lake.table(OUTCOMES.table)
    Path(lost.metadata_location.removeprefix("file://")).unlink()
    done = maintain(world.platform, LATER)
    told = {one.table: (one.failed, one.left) for one in done.tables}
    assert told[TABLE] == (False, "")
    assert told[OUTCOMES.table][0]
    assert lost.metadata_location.rpartition("/")[2] in told[OUTCOMES.table][1]
    assert done.waiting == (OUTCOMES.table,)
    with pytest.raises(MlopsError, match=f"expected the metadata of the table {OUTCOMES.table}"):
        plan(world.platform, FLIGHTS, {FLIGHTS.keys[0]: "1"})


def _carried(world: World) -> Maintained:
    """As the task has it from the process, or the job, that did it."""
    return unpack(Maintained, carry(world.platform, Order("maintain", "run")))


def test_a_bucket_that_is_too_busy_is_worth_another_try(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise OSError("When reading information for key 'a' in bucket 'lake': AWS Error SLOW_DOWN during HeadObject")

    monkeypatch.setattr(snapshots, "expire", busy)

    with pytest.raises(ServiceUnavailable, match="S3 did not take or give a file"):
        maintain(world.platform, LATER)


REFUSED = "(org.apache.spark.sql.AnalysisException) No such column: ds; JVM stacktrace:"
OVERTAKEN = {
    "(org.apache.iceberg.exceptions.ValidationException) Missing required files to delete": True,
    "(java.lang.RuntimeException) Cannot commit because of a ValidationException or CommitFailedException": True,
    f"{REFUSED} at org.apache.iceberg.exceptions.ValidationException.check": False,
    f"{REFUSED} at com.example.Conflicts.resolve": False,
    "(java.io.IOException) Cannot commit: conflict of leases on the file system": False,
}


@pytest.mark.parametrize("text", OVERTAKEN)
def test_a_day_is_passed_over_for_a_rivals_sake_alone(world: World, text: str) -> None:
    class Refusing:
        def sql(self, _: str) -> None:
            raise PySparkException(text)

    def compacted() -> bool:
        return compact(world.platform.lake, cast("SparkSession", Refusing()), TABLE, day(5))

    if OVERTAKEN[text]:
        assert not compacted()
    else:
        with pytest.raises(PySparkException):
            compacted()


def test_the_same_on_s3(settings_of: Callable[..., Settings]) -> None:
    with aws():
        bucket("lake")
        world = small_world(settings_of(warehouse_url="s3://lake/warehouse"))
        world.publish_flights(5, wind=[1.0] * A_DAY)
        rows = world.platform.lake.read(TABLE, days(1, 30))
        place = f"{world.platform.lake.table(TABLE).location()}/data/stray.parquet".removeprefix("s3://lake/")
        boto3.client("s3").put_object(Bucket="lake", Key=place, Body=b"left")
        StoredCheckpoints.of("s3://lake/warehouse", world.model.name, "key", 1).keep(1, b"state")

        done = maintain(world.platform, LATER)

        tended = {one.table: one for one in done.tables}[TABLE]
        assert (tended.expired > 0, tended.files > 0, tended.stray > 0, done.checkpoints) == (True, True, True, 1)
        assert world.platform.lake.read(TABLE, days(1, 30)).equals(rows)
        found = boto3.client("s3").list_objects_v2(Bucket="lake", Prefix="warehouse/")["Contents"]
        assert not [one["Key"] for one in found if one["Key"] == place or one["Key"].endswith(".ubj")]


def test_a_budget_too_small_is_refused(settings_of: Callable[..., Settings]) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        settings_of(maintenance_minutes=0)

"""One lake, whatever keeps its catalog: what is written, staged, published and tagged in process and by Spark."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from include.mlops.compute.session import connect
from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.lake.lake import Lake
from include.mlops.lake.probe import require_encryption
from include.mlops.lake.staging import publish, stage
from include.mlops.lake.views import ensure_latest, latest
from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.steps.doctor import examine
from include.mlops.steps.platform import Platform
from tests.aws import aws, bucket
from tests.rest_catalog import CREDENTIAL, rest_catalog

pytestmark = pytest.mark.slow
WAREHOUSE = "s3://lake/warehouse"
A, B = date(2013, 4, 1), date(2013, 4, 2)


Opened = tuple[Settings, SparkSession]


@pytest.fixture(scope="module", params=["glue", "rest"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A lake on S3 whose catalog is AWS Glue's or an Iceberg REST catalog, and Spark on the same."""
    home = tmp_path_factory.mktemp(request.param)
    with ExitStack() as opening:
        opening.enter_context(aws())
        bucket("lake")
        catalog = {"catalog_url": "glue://"}
        if request.param == "rest":
            url = opening.enter_context(rest_catalog(home, WAREHOUSE))
            catalog = {"catalog_url": url, "catalog_credential": CREDENTIAL}
        settings = Settings(
            state=home, spark_port=free_port(), warehouse_url=WAREHOUSE, s3_encryption="sse-s3", **catalog
        )
        supervisor = opening.enter_context(Supervisor(home / "logs"))
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        session = connect(settings)
        yield settings, session
        session.stop()


def _rows(ds: date, *keys: str) -> pa.Table:
    return pa.table({"key": list(keys), "ds": pa.array([ds] * len(keys), pa.date32())})


def _keys(lake: Lake, table: str, interval: Interval) -> list[str]:
    return sorted(lake.read(table, interval, ["key"])["key"].to_pylist())


def test_rows_of_both_writers_are_published_staged_and_tagged(opened: Opened) -> None:
    settings, spark = opened
    lake, table, both = Lake(settings), "features.visits_v1", Interval(A, B)
    lake.create(table, {"key": "string", "ds": "date"}, staged=True)
    lake.replace(table, _rows(A, "x", "y"), [A])
    require_encryption(lake, table, settings)
    rows = spark.createDataFrame([("z", B)], "key string, ds date")
    staged = stage(lake, spark, table, rows, [B])
    assert staged.rows == {B: 1}
    assert _keys(lake, table, both) == ["x", "y"]
    publish(lake, spark, staged, [B])
    assert _keys(lake, table, both) == ["x", "y", "z"]
    lake.tag(table, "early")
    lake.replace(table, _rows(B, "w"), [B])
    assert _keys(lake, table, both) == ["w", "x", "y"]
    assert lake.read(table, both, ["key"], lake.snapshot_of(table, "early")).num_rows == 3
    assert sorted(row["key"] for row in spark.table(f"lake.{table}").collect()) == ["w", "x", "y"]
    assert latest(lake, table, ["key"])["key"].to_pylist() == ["w"]
    ensure_latest(lake, table)  # a catalog that keeps no views says so in the log, and no night fails for it
    ensure_latest(lake, table)


def test_another_encryption_than_the_settings_want_is_told(opened: Opened) -> None:
    settings, _ = opened
    lake, table = Lake(settings), "features.sealed_v1"
    lake.create(table, {"key": "string", "ds": "date"})
    lake.replace(table, _rows(A, "x"), [A])
    wants = settings.model_copy(update={"s3_encryption": "sse-kms", "s3_kms_key": "alias/lake"})
    with pytest.raises(SettingsError, match=r"expected objects of s3://lake/warehouse to be encrypted by aws:kms"):
        require_encryption(lake, table, wants)


def test_a_rest_catalog_that_does_not_answer_or_is_none_is_told(tmp_path: Path) -> None:
    nobody = Settings(state=tmp_path, catalog_url=f"http://127.0.0.1:{free_port()}/iceberg")
    with pytest.raises(ServiceUnavailable, match="the lake's catalog did not answer"):
        Lake(nobody).exists("features.visits_v1")


def test_a_rest_catalog_that_refuses_us_is_told_without_the_credential(tmp_path: Path) -> None:
    with rest_catalog(tmp_path, tmp_path.as_uri()) as url:
        wrong = Settings(state=tmp_path, catalog_url=url, catalog_credential="tester:sesame-street")
        with pytest.raises(SettingsError, match="the lake's catalog refused us") as caught:
            Lake(wrong).exists("features.visits_v1")
        assert "sesame-street" not in "".join(traceback.format_exception(caught.value))


def test_a_catalog_that_shows_staged_rows_is_refused_and_the_rows_taken_back(tmp_path: Path) -> None:
    with rest_catalog(tmp_path, tmp_path.as_uri(), shows_staged=True) as url, Supervisor(tmp_path / "logs") as servers:
        settings = Settings(
            state=tmp_path,
            spark_port=free_port(),
            warehouse_url=tmp_path.as_uri(),
            catalog_url=url,
            catalog_credential=CREDENTIAL,
        )
        servers.start(spark_service(settings))
        servers.wait_until_up()
        spark, platform = connect(settings), Platform(settings)
        lake, table, both = platform.lake, "features.visits_v1", Interval(A, B)
        lake.create(table, {"key": "string", "ds": "date"}, staged=True)
        rows = spark.createDataFrame([("z", A)], "key string, ds date")
        for published in ([], ["x"]):
            if published:
                lake.replace(table, _rows(A, *published), [A])
            with pytest.raises(SettingsError, match=r"rows staged in features\.visits_v1"):
                stage(lake, spark, table, rows, [A])
            assert _keys(lake, table, both) == published
        (found,) = (check for check in examine(platform) if check.name == "spark")
        assert "to be hidden until they are published" in found.wrong
        spark.stop()

"""The Spark and MLflow servers, as the stack starts them."""

from __future__ import annotations

import httpx
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyspark.sql import SparkSession

from include.mlops.local.ports import free_port
from include.mlops.local.services import mlflow_answers, spark_answers
from include.mlops.settings import Settings

pytestmark = pytest.mark.slow


def test_a_table_that_spark_writes_is_read_through_the_same_catalog_by_pyiceberg(spark_settings: Settings) -> None:
    spark = SparkSession.builder.remote(spark_settings.spark_remote).create()
    try:
        spark.sql("create namespace if not exists lake.services_test")
        spark.sql("create or replace table lake.services_test.numbers using iceberg as select id from range(3)")
        catalog = SqlCatalog("lake", uri=spark_settings.catalog, warehouse=spark_settings.warehouse)
        assert catalog.load_table("services_test.numbers").scan().to_arrow()["id"].to_pylist() == [0, 1, 2]
        assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    finally:
        spark.stop()


def test_mlflow_refuses_a_page_of_another_site(mlflow_server: Settings) -> None:
    assert mlflow_answers(mlflow_server.mlflow_url)
    answer = httpx.get(mlflow_server.mlflow_url, headers={"Host": "evil.example"})
    assert answer.status_code == 403


def test_nobody_is_healthy_where_nothing_listens() -> None:
    port = free_port()
    assert not spark_answers(f"127.0.0.1:{port}")
    assert not mlflow_answers(f"http://127.0.0.1:{port}")

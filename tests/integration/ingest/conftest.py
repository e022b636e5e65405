"""Bundles on the one Spark server of the run, and the one session that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from include.mlops.compute.session import connect
from include.mlops.settings import Settings
from tests.integration.ingest.bundle import Bundle


@pytest.fixture(scope="session")
def spark(spark_server: Settings) -> Iterator[SparkSession]:
    session = connect(spark_server)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def new_bundle(
    spark_server: Settings, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Bundle]:
    """Makes bundles: their own specifications, landing, ledger and tables, the server's catalog and warehouse."""

    def make() -> Bundle:
        home: Path = tmp_path_factory.mktemp("bundle")
        settings = Settings(
            state=home / "state",
            specs=home / "include",
            catalog_url=spark_server.catalog,
            warehouse_url=spark_server.warehouse,
            spark_remote=spark_server.spark_remote,
        )
        return Bundle(settings, spark)

    return make

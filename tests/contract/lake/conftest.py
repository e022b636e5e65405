"""A lake on the Spark server of the run, and a table of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from include.mlops.compute.session import connect
from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings


@pytest.fixture(scope="module")
def spark(spark_server: Settings) -> Iterator[SparkSession]:
    session = connect(spark_server)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def lake(spark_server: Settings) -> Lake:
    return Lake(spark_server)


@pytest.fixture
def table(lake: Lake) -> str:
    name = f"contract.staging_{uuid.uuid4().hex[:8]}"
    lake.create(name, {"key": "string", "value": "int", "ds": "date"}, staged=True, order=["key"])
    return name

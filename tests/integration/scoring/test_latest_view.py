"""The newest day of a table, for readers in process and for Spark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from include.mlops.compute.connect_server import spark_configuration
from include.mlops.compute.session import connect
from include.mlops.lake.lake import Lake
from include.mlops.lake.views import ensure_latest, latest
from include.mlops.settings import Settings
from tests.integration.scoring.world import A_DAY, World, day

COLUMNS = {"carrier": "string", "score": "double", "ds": "date"}
TABLE = "predictions.newest"


def _rows(ds: date, score: float) -> pa.Table:
    return pa.table({"carrier": ["AA", "UA", "ZZ"], "score": [score] * 3, "ds": [ds] * 3})


@pytest.fixture
def lake(settings: Settings) -> Lake:
    made = Lake(settings)
    made.create(TABLE, COLUMNS)
    return made


def test_the_newest_day_is_read_whole_and_alone(lake: Lake) -> None:
    for number in (2, 3, 1):
        lake.replace(TABLE, _rows(day(number), float(number)), [day(number)])
    found = latest(lake, TABLE)
    assert found.to_pylist() == _rows(day(3), 3.0).to_pylist()
    assert latest(lake, TABLE, ["score"]).to_pydict() == {"score": [3.0] * 3}


def test_a_day_scored_again_is_read_once(lake: Lake) -> None:
    for score in (0.1, 0.2):
        lake.replace(TABLE, _rows(day(1), score), [day(1)])
    assert latest(lake, TABLE)["score"].to_pylist() == [0.2] * 3


def test_without_any_day_there_are_no_rows_and_all_columns(lake: Lake) -> None:
    assert latest(lake, TABLE).to_pydict() == {name: [] for name in COLUMNS}
    lake.replace(TABLE, _rows(day(1), 0.1), [day(1)])
    lake.replace(TABLE, _rows(day(1), 0.1).slice(0, 0), [day(1)])
    assert latest(lake, TABLE, ["score"]).to_pydict() == {"score": []}


def test_a_table_of_that_name_is_left_alone(lake: Lake) -> None:
    lake.create(f"{TABLE}_latest", COLUMNS)
    ensure_latest(lake, TABLE)
    assert lake.columns(f"{TABLE}_latest") == list(COLUMNS)


def test_the_view_is_no_table(lake: Lake) -> None:
    ensure_latest(lake, TABLE)
    assert not lake.exists(f"{TABLE}_latest")
    assert lake.catalog.list_tables("predictions") == [("predictions", "newest")]


@pytest.fixture
def spark_on(spark_server: Settings) -> Iterator[SparkSession]:
    """A session of the shared server, whose catalog the test points at its own lake."""
    session = connect(spark_server)
    yield session
    session.stop()


def _look_at(session: SparkSession, settings: Settings) -> None:
    for name, value in spark_configuration(settings, []).items():
        if name.startswith("spark.sql.catalog.lake"):
            session.conf.set(name, value)


@pytest.mark.slow
def test_spark_reads_the_newest_day_of_what_was_scored_in_process(world: World, spark_on: SparkSession) -> None:
    _look_at(spark_on, world.platform.settings)
    name = world.model.predictions
    world.score(16, 17)
    world.score(17)
    query = f"SELECT * FROM lake.{name}_latest"
    assert spark_on.sql(query).columns == world.platform.lake.columns(name)
    rows = spark_on.sql(query).toArrow()
    assert set(rows["ds"].to_pylist()) == {day(17)}
    kept = [("carrier", "ascending"), ("flight", "ascending")]
    scores = latest(world.platform.lake, name).sort_by(kept)["score"].to_pylist()
    assert rows.sort_by(kept)["score"].to_pylist() == scores
    assert len(scores) == A_DAY
    world.score(18)
    days = spark_on.sql(f"SELECT DISTINCT ds FROM lake.{name}_latest").toArrow()
    assert days["ds"].to_pylist() == [day(18)]
    world.score(16)
    assert spark_on.sql(query).toArrow()["ds"].to_pylist() == [day(18)] * A_DAY

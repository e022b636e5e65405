"""Whoever carries the data, in process or Spark: the same predictions, the same gate, the same publication."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.errors import PartitionsFailed
from include.mlops.lake.views import latest
from include.mlops.settings import Settings
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import A_DAY, World, day, days, flights, late_flights

pytestmark = pytest.mark.slow
CARRIERS = pytest.mark.parametrize("workers", [1, 2], ids=["in process", "Spark"])


@pytest.fixture
def world_of(home: Home, spark_server: Settings, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """A ledger of its own, days 16 to 22 of the one table of flights in Spark's catalog."""

    opened: list[World] = []

    def make(workers: int | str, **scoring: object) -> World:
        places = {
            "catalog_url": spark_server.catalog,
            "warehouse_url": spark_server.warehouse,
            "spark_remote": spark_server.spark_remote,
        }
        made = World.of(tmp_path / uuid.uuid4().hex[:8], home.mlflow_url, home.model, **places)
        every = list(days(10, 22))
        made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
        made.live(1, 16)
        made.live(2, 21)
        if made.platform.lake.exists(made.model.predictions):  # of the test before
            made.platform.lake.catalog.drop_table(made.model.predictions)
        opened.append(World(made.platform, late_flights(home.model, scoring={"workers": workers, **scoring})))
        return opened[-1]

    yield make
    for world in opened:
        if "spark" in vars(world.platform):
            world.platform.spark.stop()


def _rows(world: World) -> pa.Table:
    return world.predictions(1, 30).drop_columns(["run_id", "scored_at"])


def test_both_carriers_publish_equal_predictions_of_each_version(world_of: Callable[..., World]) -> None:
    """Days 10 to 14 by name of a version that saw them, the others by the version live for each."""
    found = {}
    for workers in (1, 2):
        world = world_of(workers)
        world.score(10, 14, version=1)
        scored = world.score(16, 22, f"run with {workers}")
        assert scored.versions == {ds: 1 if ds < day(21) else 2 for ds in days(16, 22)}
        assert set(world.predictions(16, 22)["run_id"].to_pylist()) == {f"run with {workers}"}
        found[workers] = _rows(world), scored.rows, scored.versions
    assert found[1][0].num_rows == 12 * A_DAY
    assert found[1] == found[2], "all columns but run_id and scored_at, to the last bit"


@CARRIERS
def test_a_refused_day_keeps_what_it_had_and_the_others_are_published(
    world_of: Callable[..., World], workers: int
) -> None:
    world = world_of(workers, maximum=0.999)
    world.score(18, run_id="before")
    world.publish_flights(17, wind=[float("inf")] + [0.0] * (A_DAY - 1))
    world.publish(flights(day(18)), [day(18)], counted=A_DAY + 1)
    with pytest.raises(PartitionsFailed) as failed:
        world.score(16, 19, run_id="now")
    reasons = failed.value.failures
    assert set(reasons) == {day(17), day(18)}
    assert reasons[day(17)].startswith("FeaturesUnusable: column 'wind': expected finite numbers")
    assert f"expected {A_DAY + 1} rows as published in the features, found {A_DAY}" in reasons[day(18)]
    runs = world.predictions(16, 19).group_by(["ds", "run_id"]).aggregate([])
    assert sorted(zip(runs["ds"].to_pylist(), runs["run_id"].to_pylist(), strict=True)) == [
        (day(16), "now"),
        (day(18), "before"),
        (day(19), "now"),
    ]
    published = world.platform.ledger.publications.over(world.model.predictions, days(16, 19))
    assert {ds: p.run_id for ds, p in published.items()} == {day(16): "now", day(18): "before", day(19): "now"}


@CARRIERS
def test_a_day_that_lost_its_flights_loses_its_predictions(world_of: Callable[..., World], workers: int) -> None:
    world = world_of(workers)
    world.score(20, 22)
    world.publish_flights(22, rows=0)
    scored = world.score(21, 22)
    assert (scored.rows[day(22)], scored.mean_score[day(22)]) == (0, None)
    assert sorted(set(world.predictions(20, 22)["ds"].to_pylist())) == [day(20), day(21)]
    assert set(latest(world.platform.lake, world.model.predictions)["ds"].to_pylist()) == {day(21)}


@CARRIERS
def test_scoring_again_leaves_the_same_rows(world_of: Callable[..., World], workers: int) -> None:
    world = world_of(workers)
    world.score(16, 18)
    first = _rows(world)
    world.score(17, 18)
    assert _rows(world).equals(first)


def test_what_does_not_fit_the_memory_of_a_task_goes_to_spark(
    world_of: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of("auto")
    small = world.platform.settings.model_copy(update={"task_memory": "4k"})
    tight = World(type(world.platform)(small, world.platform.specs), world.model)
    with caplog.at_level("INFO"):
        tight.score(16)
        world.score(17)
    told = [record.getMessage() for record in caplog.records if record.name.endswith("scoring.score")]
    assert any("on Spark: 120 rows x 7 columns" in line for line in told)
    assert any("in process: 120 rows x 7 columns" in line for line in told)

"""A world on a Spark server of its own: maintenance goes through every table of a catalog."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.spec.load import Specs
from include.mlops.steps.platform import Platform
from tests.integration.scoring.world import (
    _TIMES,
    DAYS,
    FLIGHTS,
    KEYS,
    OUTCOMES,
    World,
    day,
    days,
    flights,
    late_flights,
)


def small_world(settings: Settings, name: str = "") -> World:
    """The flights and outcomes of thirty days, published in one commit each; nothing is trained."""
    model = late_flights(name or f"late_{uuid.uuid4().hex[:8]}")
    specs = Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {model.name: model})
    made = World(Platform(settings, specs), model)
    every = list(days(1, DAYS))
    made.platform.lake.create(FLIGHTS.table, {**FLIGHTS.publishes, **_TIMES}, staged=True, order=KEYS)
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, DAYS + 1))
    assert day(DAYS) == every[-1]
    return made


@pytest.fixture
def settings_of(tmp_path: Path, mlflow_server: Settings) -> Callable[..., Settings]:
    def make(**changes: object) -> Settings:
        values = {"state": tmp_path, "mlflow_url": mlflow_server.mlflow_url, "sample_rows": 300, **changes}
        return Settings(**values)

    return make


@pytest.fixture
def world(settings_of: Callable[..., Settings]) -> World:
    """A lake of sqlite and files."""
    return small_world(settings_of())


@pytest.fixture
def spark_world(settings_of: Callable[..., Settings], tmp_path: Path) -> Iterator[World]:
    """The same, whose catalog a Spark server of its own opens too."""
    settings = settings_of(spark_port=free_port())
    settings = Settings(**{**settings.model_dump(), "spark_remote": f"sc://127.0.0.1:{settings.spark_port}"})
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        made = small_world(settings)
        yield made
        made.platform.spark.stop()

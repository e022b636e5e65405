"""A world with a trained version that is live, and empty places to restore it into."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.local.ports import free_port
from include.mlops.local.services import mlflow_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.steps.backup.backup import BackedUp, backup
from include.mlops.steps.training.train import train
from tests.integration.scoring.world import V1_AS_OF, World, day, days, flights

PUBLISHED = 20
"""Days of flights; version 1 is live from day 16 on, whose scores are published."""


@contextmanager
def mlflow(settings: Settings) -> Iterator[None]:
    """Its server, on the database and the files that the settings name."""
    with Supervisor(settings.state / "logs") as supervisor:
        supervisor.start(mlflow_service(settings))
        supervisor.wait_until_up()
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    state, port = tmp_path_factory.mktemp("original"), free_port()
    settings = Settings(state=state, mlflow_port=port)
    with mlflow(settings):
        made = World.of(state, settings.mlflow_url, f"late_{uuid.uuid4().hex[:8]}")
        every = list(days(1, PUBLISHED))
        made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
        made.publish_outcomes(*range(1, PUBLISHED + 1))
        assert train(made.platform, made.model, day(V1_AS_OF), "training").version == 1
        made.live(1, V1_AS_OF + 1)
        made.score(V1_AS_OF + 1)
        yield made


@pytest.fixture(scope="session")
def backed_up(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BackedUp]:
    """A place with one backup of that world, which tests leave as it is."""
    place = tmp_path_factory.mktemp("place") / "backups"
    return place, backup(world.platform, str(place), lambda _: None)


@pytest.fixture
def another(world: World, tmp_path: Path) -> Callable[..., World]:
    """The same model and specifications over places of their own, which are empty."""

    def make(**places: object) -> World:
        settings = Settings(state=tmp_path / uuid.uuid4().hex[:8], mlflow_port=free_port(), sample_rows=300, **places)
        return World(type(world.platform)(settings, world.platform.specs), world.model)

    return make

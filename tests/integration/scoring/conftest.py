"""Two versions, trained once for all tests of this folder; each test has its own lake and ledger."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.settings import Settings
from include.mlops.steps.training.train import train
from tests.integration.scoring.world import DAYS, OUTCOMES, V1_AS_OF, V2_AS_OF, World, day, days, flights


@dataclass(frozen=True)
class Home:
    """Where the versions were trained: with the labels, and the snapshots that their records name."""

    world: World
    state: Path
    mlflow_url: str
    model: str


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, mlflow_server: Settings) -> Home:
    state, name = tmp_path_factory.mktemp("home"), f"late_{uuid.uuid4().hex[:8]}"
    made = World.of(state, mlflow_server.mlflow_url, name)
    every = list(days(1, DAYS))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, DAYS + 1))
    assert made.platform.specs.group("outcomes") is OUTCOMES
    for version, as_of in enumerate((V1_AS_OF, V2_AS_OF), 1):
        assert train(made.platform, made.model, day(as_of), "training").version == version
    return Home(made, state, mlflow_server.mlflow_url, name)


@pytest.fixture
def another_world(home: Home, tmp_path: Path) -> Callable[[], World]:
    """A lake with the flights of all thirty days, a ledger in which version 1 is live from day 16 on."""

    def make() -> World:
        made = World.of(tmp_path / uuid.uuid4().hex[:8], home.mlflow_url, home.model)
        every = list(days(1, DAYS))
        made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
        made.live(1, V1_AS_OF + 1)
        return made

    return make


@pytest.fixture
def world(another_world: Callable[[], World]) -> World:
    return another_world()

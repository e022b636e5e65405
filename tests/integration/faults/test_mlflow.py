"""MLflow is killed in the middle of a training, a release and a scoring: told, and made good by the next try."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import pyarrow as pa
import pytest

from include.mlops.errors import ServiceUnavailable
from include.mlops.local.ports import free_port
from include.mlops.local.services import mlflow_service
from include.mlops.local.supervisor import Service, Supervisor
from include.mlops.settings import Settings
from include.mlops.steps.release import release
from include.mlops.steps.training.train import train
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome
from tests.integration.faults.dying import Point
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import V1_AS_OF, World, day, days, flights

pytestmark = pytest.mark.slow
REGISTRY, RUN = "include.mlops.registry.registry:Registry", "include.mlops.registry.run:Run"


@dataclass
class Server:
    supervisor: Supervisor
    service: Service
    url: str

    def start(self) -> None:
        self.supervisor.start(self.service)
        self.supervisor.wait_until_up()

    def kill(self) -> None:
        mine = self.url.rpartition(":")[2]
        found = [p for p in psutil.Process(os.getpid()).children(recursive=True) if mine in p.cmdline()]
        victims = [one for p in found for one in (p, *p.children(recursive=True))]
        for process in victims:
            process.kill()
        psutil.wait_procs(victims, timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = Settings(state=tmp_path_factory.mktemp("mortal-mlflow"), mlflow_port=free_port())
    with Supervisor(settings.state / "logs") as supervisor:
        made = Server(supervisor, mlflow_service(settings), settings.mlflow_url)
        made.start()
        yield made


@pytest.fixture
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.of(tmp_path_factory.mktemp("world"), server.url, f"late_{uuid.uuid4().hex[:8]}")
    every = list(days(1, 18))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, 19))
    return made


def _without(server: Server, point: Point, step: Callable[[], object]) -> None:
    try:
        with point.happens(server.kill), pytest.raises(ServiceUnavailable, match="MLOPS_MLFLOW_URL"):
            step()
    finally:
        server.start()


@pytest.mark.parametrize("point", exhaustive([Point(f"{RUN}.log_metrics"), Point(f"{RUN}.register")], 1), ids=str)
def test_mlflow_is_killed_while_a_model_is_trained(server: Server, world: World, home: Home, point: Point) -> None:
    _without(server, point, lambda: train(world.platform, world.model, day(V1_AS_OF), "unlucky"))
    found = train(world.platform, world.model, day(V1_AS_OF), "run")
    assert found.version == 1
    assert found.sha256 == home.world.platform.registry.version(home.model, 1).sha256


def test_mlflow_is_killed_while_a_model_is_released_and_scores(server: Server, world: World, home: Home) -> None:
    """Between the decision and its mirror in the registry; then before the version's file is read."""
    train(world.platform, world.model, day(V1_AS_OF), "training")

    def decide() -> object:
        return release(world.platform, world.model, 1, day(V1_AS_OF), "test", "run")

    _without(server, Point(f"{REGISTRY}.tag"), decide)
    decide()
    assert len(world.platform.ledger.releases.decisions(world.model.name)) == 1
    assert world.platform.registry.aliased(world.model.name, "champion").number == 1
    _without(server, Point(f"{REGISTRY}.model_file"), lambda: world.score(16, 17))
    assert world.platform.ledger.publications.over(world.model.predictions, days(16, 17)) == {}
    world.score(16, 17)
    clean = World.of(world.platform.settings.state / "clean", home.mlflow_url, home.model)
    clean.publish(pa.concat_tables([flights(ds) for ds in days(1, 18)]), list(days(1, 18)))
    clean.score(16, 17, version=1)
    assert outcome.scores(world, 16, 17)[0] == outcome.scores(clean, 16, 17)[0]

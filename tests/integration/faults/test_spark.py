"""Spark's processes are killed in the middle of a job: executors are replaced; a dead server is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pyarrow as pa
import pytest

from include.mlops.compute.session import connect
from include.mlops.errors import ServiceUnavailable
from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome, steps
from tests.integration.faults.dying import Point, start
from tests.integration.faults.steps import Airline
from tests.integration.ingest.bundle import Bundle
from tests.integration.ingest.bundle import day as march
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import V1_AS_OF, World, days, flights, late_flights

pytestmark = pytest.mark.slow

INGEST, SCORING = "include.mlops.steps.ingestion.ingest", "include.mlops.steps.scoring.score_on_spark"
STAGING = "include.mlops.lake.staging"
SLOW = """\
import time
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType

def slowly(slot):
    time.sleep(0.25)
    return slot

def transform(rows, reads):
    return rows.withColumn("hour", F.udf(slowly, IntegerType())("slot"))
"""
EXECUTOR, WORKER = "CoarseGrainedExecutorBackend", "pyspark.daemon"


@dataclass
class Server:
    """A Connect server with two executors, each a process."""

    settings: Settings
    supervisor: Supervisor

    def start(self) -> None:
        self.supervisor.start(spark_service(self.settings))
        self.supervisor.wait_until_up()

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes."""
        victims = self._processes()
        for process in victims:
            process.kill()
        psutil.wait_procs(victims, timeout=30)

    def kill_one(self, kind: str) -> None:
        """SIGKILL to one process of that kind, as soon as there is one."""
        for _ in range(600):
            for process in self._processes():
                if kind in " ".join(_command(process)):
                    process.kill()
                    return
            time.sleep(0.05)
        raise AssertionError(f"expected a process of {kind}, found none")

    def _processes(self) -> list[psutil.Process]:
        mine = str(self.settings.state / "spark" / "connect-server.conf")
        server = next(p for p in psutil.process_iter() if mine in _command(p))
        return [server, *server.children(recursive=True)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("spark-of-two")
    master = "local-cluster[2,1,1024]"
    settings = Settings(
        state=state,
        specs=state / "include",
        spark_port=free_port(),
        spark_master=master,
        spark_memory="1g",
        spark_executor_memory="1g",
    )
    with Supervisor(state / "logs") as supervisor:
        made = Server(settings, supervisor)
        made.start()
        yield made


@contextmanager
def _soon(kill: Callable[[], None], after: float) -> Iterator[Callable[[], None]]:
    """A function that kills a while after it is called."""
    timers: list[threading.Timer] = []

    def begin() -> None:
        timers.append(threading.Timer(after, kill))
        timers[-1].start()

    yield begin
    for timer in timers:
        timer.join()


@pytest.fixture(scope="module")
def clean_days(new_bundle: Callable[[], Bundle]) -> dict[int, Any]:
    return outcome.clean_days(new_bundle(), (4, 5), SLOW)


@pytest.fixture
def bundle(server: Server) -> Iterator[Bundle]:
    session = connect(server.settings)
    yield outcome.landed(Bundle(server.settings, session), (4, 5), SLOW)
    session.stop()


@pytest.mark.parametrize("kind", exhaustive([EXECUTOR, WORKER], 0))
def test_a_worker_that_is_killed_while_days_are_ingested_is_replaced(
    server: Server, bundle: Bundle, clean_days: dict[int, Any], kind: str
) -> None:
    bundle.run(bundle.readings, march(4))
    with _soon(lambda: server.kill_one(kind), 1.0) as killing, Point(f"{INGEST}:stage").happens(killing):
        bundle.run(bundle.readings, march(5))
    assert outcome.features(bundle, 5, 5) == clean_days[5]


@pytest.fixture
def lonely(server: Server) -> Iterator[Bundle]:
    """Its session's server may die."""
    session = connect(server.settings)
    yield outcome.landed(Bundle(server.settings, session), (4, 5), SLOW)
    session.release_session_on_close = False  # type: ignore[attr-defined] # there is nobody to release it
    session.stop()


@pytest.mark.parametrize("point", exhaustive([Point(f"{INGEST}:stage"), Point(f"{STAGING}:_picked")], 1), ids=str)
def test_the_server_is_killed_while_a_day_is_ingested(
    server: Server, lonely: Bundle, clean_days: dict[int, Any], point: Point
) -> None:
    """It is told as what can be tried again; the next try, a process as always, leaves a clean run's day."""
    after = 0.7 if "stage" in point.function else 0.0
    lost = pytest.raises(ServiceUnavailable, match="Spark was lost")
    with _soon(server.kill, after) as killing, point.happens(killing), lost:
        lonely.run(lonely.readings, march(4))
    server.start()
    _is_made_good(server, lonely, clean_days[4])


def test_the_server_is_started_again_while_a_day_is_ingested(
    server: Server, lonely: Bundle, clean_days: dict[int, Any]
) -> None:
    def started_again() -> None:
        server.kill()
        server.start()

    with (
        Point(f"{INGEST}:transformed").happens(started_again),
        pytest.raises(ServiceUnavailable, match="Spark was lost"),
    ):
        lonely.run(lonely.readings, march(4))
    _is_made_good(server, lonely, clean_days[4])


def _is_made_good(server: Server, bundle: Bundle, clean: Any) -> None:
    assert bundle.published(bundle.readings, march(4)) == {}
    again = start(None, steps.ingest_days, server.settings, bundle.readings, march(4), march(4), "again")
    again.join(300)
    assert again.exitcode == 0
    assert outcome.features(bundle, 4, 4) == clean


@pytest.fixture(scope="module")
def world(server: Server, home: Home, tmp_path_factory: pytest.TempPathFactory) -> World:
    settings = server.settings
    places = {"catalog_url": settings.catalog, "warehouse_url": settings.warehouse}
    made = World.of(
        tmp_path_factory.mktemp("scored"), home.mlflow_url, home.model, spark_remote=settings.spark_remote, **places
    )
    every = list(days(1, 30))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.live(1, V1_AS_OF + 1)
    return World(made.platform, late_flights(home.model, scoring={"workers": 2}))


@pytest.mark.parametrize("kind", exhaustive([EXECUTOR, WORKER], 0))
def test_a_worker_that_is_killed_while_days_are_scored_is_replaced(
    server: Server, world: World, another_world: Callable[[], World], kind: str
) -> None:
    first = 16 if kind == EXECUTOR else 18
    with _soon(lambda: server.kill_one(kind), 0.3) as killing, Point(f"{SCORING}:stage").happens(killing):
        world.score(first, first + 1)
    clean = another_world()
    clean.score(first, first + 1)
    assert outcome.scores(world, first, first + 1) == outcome.scores(clean, first, first + 1)


def test_the_server_is_killed_while_days_are_scored(
    server: Server, world: World, another_world: Callable[[], World]
) -> None:
    try:
        with Point(f"{SCORING}:stage").happens(server.kill), pytest.raises(ServiceUnavailable, match="Spark was lost"):
            world.score(20, 21)
    finally:
        server.start()
    again = start(None, steps.score_days, Airline.of(world, scoring={"workers": 2}), 20, 21, "again")
    again.join(300)
    assert again.exitcode == 0
    clean = another_world()
    clean.score(20, 21)
    assert outcome.scores(world, 20, 21) == outcome.scores(clean, 20, 21)

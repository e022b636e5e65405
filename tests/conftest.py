"""Settings of a test, and the real Spark and MLflow servers that tests of a run share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from include.mlops.local.ports import free_port
from include.mlops.local.services import mlflow_service, spark_service
from include.mlops.local.supervisor import Service, Supervisor
from include.mlops.settings import Settings
from tests.cluster import cluster
from tests.postgres import postgres_server

LOOP = "tests/integration/loop/"
ON_CLUSTER = os.environ.get("MLOPS_TEST_TOPOLOGY") == "cluster"
"""Whether the servers that tests share are those of `tests/cluster.py`; else Spark, MLflow, sqlite and files here."""


class _ByFile(LoadScopeScheduling):
    """A file's tests stay in one process, and so do those of the loop, which look at nights that were played once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return LOOP if file.startswith(LOOP) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The loop takes longest, so it begins first: last, one process would wait for the other."""
    items.sort(key=lambda item: not item.nodeid.startswith(LOOP))


def pytest_configure() -> None:
    """Most of Spark's processes here live for a minute, in which its optimising compiler costs more than it gains."""
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_this_machine() -> Iterator[None]:
    """A developer's own MLOPS_* variables must not reach the tests."""
    mine = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("MLOPS_")}
    yield
    os.environ.update(mine)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything of one test under its own folder: sqlite for the catalog and the ledger, files for the rest."""
    state = tmp_path / "state"
    landing = state / "landing"
    landing.mkdir(parents=True)
    (state / "lake").mkdir()
    return Settings(state=state)


@pytest.fixture(scope="session")
def cluster_of_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with cluster(tmp_path_factory.mktemp("cluster")) as settings:
        yield settings


@pytest.fixture(scope="session")
def spark_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A Spark Connect server for the whole run; the settings say where it, its catalog and its warehouse are."""
    if ON_CLUSTER:
        yield request.getfixturevalue("cluster_of_servers")
        return
    shared = Settings(state=tmp_path_factory.mktemp("spark"), spark_port=free_port())
    yield from _served(shared, spark_service)


@pytest.fixture
def spark_settings(settings: Settings, spark_server: Settings) -> Settings:
    """The settings of one test, on the shared Spark server: its own state, the server's catalog and warehouse.

    Tests share the catalog, so each names its tables after itself.
    """
    places = {"catalog_url": spark_server.catalog, "warehouse_url": spark_server.warehouse}
    return Settings(**{**settings.model_dump(), **places, "spark_remote": spark_server.spark_remote})


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A Postgres server for the whole run; its address as an SQLAlchemy URL."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def mlflow_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An MLflow server for the whole run; its address is `mlflow_url` of the settings."""
    if ON_CLUSTER:
        yield request.getfixturevalue("cluster_of_servers")
        return
    shared = Settings(state=tmp_path_factory.mktemp("mlflow"), mlflow_port=free_port())
    yield from _served(shared, mlflow_service)


def _served(settings: Settings, service: Callable[[Settings], Service]) -> Iterator[Settings]:
    with Supervisor(settings.state / "logs") as supervisor:
        supervisor.start(service(settings))
        supervisor.wait_until_up()
        yield settings

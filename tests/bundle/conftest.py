"""Airflow in a home of its own: the bundle's DAGs through Airflow's own parser, serialisation and database."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = tempfile.TemporaryDirectory(prefix="airflow-")
# Airflow reads these when it is first imported, so they stand before any import of it.
os.environ.update(
    AIRFLOW_HOME=HOME.name,
    AIRFLOW__API_AUTH__JWT_SECRET="of-tests-alone" * 8,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="vera:viewer,otto:op",
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(Path(HOME.name) / "passwords.json"),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME.name}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=f"{HOME.name}/logs",
)

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

    from include.mlops.steps.platform import Platform


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], DagBag]:
    """Parse a file or folder of the bundle as Airflow's DAG processor does."""
    from airflow.dag_processing.dagbag import BundleDagBag

    return lambda what: BundleDagBag(dag_folder=str(what), bundle_path=ROOT, bundle_name="bundle", safe_mode=True)


@pytest.fixture(scope="session")
def bag(parse: Callable[[Path], DagBag]) -> DagBag:
    """The whole bundle, with the example's specifications."""
    return parse(ROOT)


@pytest.fixture(scope="session")
def metadata(bag: DagBag) -> Iterator[None]:
    """Airflow's database, with the bundle's DAGs in it as the DAG processor stores them."""
    bundle = {
        "name": "bundle",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(ROOT)},
    }
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([bundle])
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "bundle", None)
    yield
    del os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """The rooms of one test on an empty state folder; tasks and callbacks of this process see the same ones."""
    from include.mlops.steps.platform import Platform

    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    platform = Platform()
    with closing(platform.ledger):
        yield platform


@pytest.fixture
def context(bag: DagBag) -> Callable[..., dict[str, Any]]:
    """What Airflow gives a task of the bundle: `context("ingest_x", "wait", "2013-04-05", run_type="backfill")`."""
    from airflow.sdk.api.datamodels._generated import DagRun

    def make(
        dag_id: str, task_id: str, key: str | None, error: BaseException | None = None, **run: Any
    ) -> dict[str, Any]:
        run_type, started = run.pop("run_type", "scheduled"), run.pop("start_date", datetime.now(UTC))
        params = run.pop("params", {})
        dag_run = DagRun(
            **{
                "dag_id": dag_id,
                "run_id": f"{run_type}__{key}",
                "run_type": run_type,
                "logical_date": None,
                "data_interval_start": None,
                "data_interval_end": None,
                "run_after": started,
                "start_date": started,
                "end_date": None,
                "state": "running",
                "consumed_asset_events": [],
                "partition_key": key,
                **run,
            }
        )
        dag = bag.dags[dag_id]
        found = {
            "dag": dag,
            "dag_run": dag_run,
            "run_id": dag_run.run_id,
            "partition_key": key,
            "params": params,
            "task": dag.get_task(task_id),
            "ti": SimpleNamespace(dag_id=dag_id, run_id=dag_run.run_id, task_id=task_id, try_number=3),
        }
        return found | ({"exception": error} if error else {})

    return make

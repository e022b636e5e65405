"""History, first versions and a night of the example through Airflow, with everything else on a cluster."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from include.demo.airflow_api import AirflowApi
from include.demo.run import Demo
from include.demo.scenario import Scenario
from include.demo.summary import summarise
from include.mlops.local.airflow import ADMIN, admin_password
from include.mlops.local.ports import free_port
from include.mlops.local.stack import LocalStack
from include.mlops.settings import Settings
from tests.conftest import ON_CLUSTER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not ON_CLUSTER, reason="`make cluster-test` runs it"),
]
NIGHT = date(2013, 4, 5)


def test_a_night_on_a_cluster(cluster_of_servers: Settings, tmp_path: Path) -> None:
    settings = cluster_of_servers.model_copy(
        update={"state": tmp_path, "landing_url": str(tmp_path / "landing"), "airflow_port": free_port()}
    )
    settings = Settings(**{**settings.model_dump(), "airflow_url": f"http://127.0.0.1:{settings.airflow_port}"})
    with LocalStack(settings, services=["airflow"]) as stack:
        airflow = AirflowApi(stack.addresses["airflow"], ADMIN, admin_password(settings))
        demo = Demo(settings, Scenario(nights=1), airflow, stack, Console(file=io.StringIO(), width=200))
        demo.play()
    assert settings.warehouse.startswith("s3://")
    assert settings.ledger.startswith("postgresql")
    for found in summarise(demo.platform, NIGHT)["models"].values():
        (night,) = found["nights"]
        assert (night["ds"], night["version"]) == (str(NIGHT), 1)
        assert night["rows"] > 700

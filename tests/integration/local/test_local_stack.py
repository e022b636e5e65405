"""The whole stack, started and stopped as `make demo` does."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import httpx
import pytest

from include.demo.airflow_api import AirflowApi, until
from include.mlops.errors import SettingsError
from include.mlops.local.airflow import ADMIN, admin_password, airflow_answers
from include.mlops.local.airflow_settings import load_airflow_settings
from include.mlops.local.ports import free_port, is_taken
from include.mlops.local.services import mlflow_answers, spark_answers
from include.mlops.local.stack import LocalStack
from include.mlops.settings import Settings

pytestmark = pytest.mark.slow


def test_the_stack_comes_up_serves_and_is_gone_after(settings: Settings) -> None:
    ports = {name: free_port() for name in ("spark_port", "mlflow_port", "airflow_port")}
    settings = Settings(state=settings.state, **ports)
    with LocalStack(settings, free_disk_gb=0.5) as stack:
        assert spark_answers(stack.addresses["spark"].removeprefix("sc://"))
        assert mlflow_answers(stack.addresses["mlflow"])
        assert airflow_answers(stack.addresses["airflow"])
        stack.check()

        password = admin_password(settings)
        with httpx.Client(base_url=stack.addresses["airflow"]) as airflow:
            assert airflow.get("/api/v2/pools").status_code == 401
            token = airflow.post("/auth/token", json={"username": ADMIN, "password": password}).json()["access_token"]
            airflow.headers["Authorization"] = f"Bearer {token}"
            # What an operator changes stays: the file is loaded again at each start.
            change = {"key": "mlops_slack_channel", "value": "#night"}
            assert airflow.patch("/api/v2/variables/mlops_slack_channel", json=change).is_success
            load_airflow_settings(stack.addresses["airflow"], ADMIN, password)
            assert airflow.get("/api/v2/variables/mlops_slack_channel").json()["value"] == "#night"
            pools = {pool["name"]: pool["slots"] for pool in airflow.get("/api/v2/pools").json()["pools"]}
            assert pools["spark"] == 2
            assert pools["training"] == 1
            assert airflow.get("/api/v2/connections/mlops_slack").json()["conn_type"] == "slack"
            assert airflow.get("/api/v2/importErrors").json()["import_errors"] == []

        with pytest.raises(SettingsError, match="in use by another running stack"):
            LocalStack(settings).__enter__()

        _goes_on_after_a_write_of_twelve_seconds(settings, stack.addresses["airflow"])
    assert not any(is_taken(port) for port in ports.values())


def _goes_on_after_a_write_of_twelve_seconds(settings: Settings, address: str) -> None:
    """The scheduler's own write waits meanwhile: SQLite's five seconds would end it, and nothing starts it again."""
    airflow = AirflowApi(address, ADMIN, admin_password(settings))
    until(lambda: "deliver_alerts" in airflow.known(), 60, "the DAGs")
    airflow.unpause("deliver_alerts")
    run = airflow.trigger("deliver_alerts")
    with closing(sqlite3.connect(settings.state / "airflow" / "airflow.db", timeout=30)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        time.sleep(12)
    until(lambda: airflow.state(run) == "success", 90, "the end of a run that began during the write")

"""The servers of a cluster, as commands: what is refused before anything starts, and what they are told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.errors import SettingsError
from include.mlops.local.ports import free_port
from include.mlops.local.services import mlflow_service, spark_master_service, spark_worker_service
from include.mlops.settings import Settings


@pytest.mark.parametrize("master", ["local[*]", "spark://host", "spark://host:port"])
def test_a_master_without_an_address_is_refused_by_the_name_of_its_setting(
    master: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    monkeypatch.setenv("MLOPS_SPARK_MASTER", master)
    told = CliRunner().invoke(app, ["serve", "spark-master"])
    assert told.exit_code == 1
    assert f"expected MLOPS_SPARK_MASTER of the form spark://host:port, found '{master}'" in told.output


def test_a_master_listens_where_its_workers_look_for_it(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path, spark_master="spark://spark-master:7077")
    master, worker = spark_master_service(settings, 8081), spark_worker_service(settings, 8082, 3, "5g")
    assert " ".join(master.command).endswith("--webui-port 8081 --host spark-master --port 7077")
    assert worker.command[-1] == settings.spark_master
    assert "--cores 3 --memory 5g" in " ".join(worker.command)


@pytest.mark.parametrize(
    ("memory", "told"),
    [("1g", "expected --memory of at least 2g, which an executor takes"), ("much", "--memory: ex")],
)
def test_a_worker_in_which_no_executor_would_fit_is_refused(memory: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        spark_worker_service(Settings(state=tmp_path, spark_master="spark://host:7077"), 8082, 1, memory)


def test_servers_listen_on_this_machine_alone_unless_they_are_told_its_own_address(tmp_path: Path) -> None:
    assert Settings(state=tmp_path).address == "127.0.0.1"
    assert Settings(state=tmp_path, host="auto").address == socket.gethostbyname(socket.gethostname())


def test_mlflow_answers_to_the_name_by_which_tasks_know_it_and_shows_no_password(tmp_path: Path) -> None:
    store = "postgresql+psycopg://mlops:hunter2@postgres/mlflow"
    service = mlflow_service(Settings(state=tmp_path, mlflow_url="http://mlflow:5000", mlflow_store_url=store))
    assert "127.0.0.1:5000,localhost:5000,mlflow:5000" in service.command
    assert "hunter2" not in " ".join(service.command)


@pytest.mark.parametrize("server", ["spark-master", "spark-connect", "mlflow", "airflow-scheduler"])
def test_a_server_that_is_not_there_is_not_well(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = str(free_port())
    for name in ("MLOPS_SPARK_PORT", "MLOPS_MLFLOW_PORT", "MLOPS_AIRFLOW_PORT"):
        monkeypatch.setenv(name, nobody)
    told = CliRunner().invoke(app, ["health", server, "--page", nobody])
    assert told.exit_code == 1
    assert f"{server} does not answer, or is not well" in told.output

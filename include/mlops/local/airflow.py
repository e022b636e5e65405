"""`airflow standalone` of the local stack: its environment and its health check."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
from pydantic import SecretStr

from include.mlops.compute.private_file import write_private
from include.mlops.local.ports import free_port
from include.mlops.local.secrets import local_secret
from include.mlops.local.services import NO_TELEMETRY
from include.mlops.local.supervisor import Service
from include.mlops.settings import ROOT, Settings

ADMIN = "admin"
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def airflow_service(settings: Settings) -> Service:
    """All Airflow components in one process tree, LocalExecutor on sqlite, on `settings.airflow_port`."""
    home = settings.state / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    address = f"http://127.0.0.1:{settings.airflow_port}"
    return Service(
        name="airflow",
        command=(sys.executable, "-m", "airflow", "standalone"),
        environment=airflow_environment(settings),
        directory=home,
        answers=lambda: airflow_answers(address),
        address=address,
    )


def admin_password(settings: Settings) -> str:
    """The password of the user `admin`: random, made once for the state folder."""
    return local_secret(settings.state / "secrets", "airflow-admin")


def write_passwords(settings: Settings, password: str) -> Path:
    """The file from which Airflow's own sign-in takes the password of `admin`."""
    file = settings.state / "secrets" / "airflow-passwords.json"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, json.dumps({ADMIN: password}))
    return file


def airflow_environment(settings: Settings) -> dict[str, str]:
    """What every Airflow component and command of this stack must see, the settings of its tasks included."""
    home = settings.state / "airflow"
    secrets = settings.state / "secrets"
    passwords = write_passwords(settings, admin_password(settings))
    address = f"http://127.0.0.1:{settings.airflow_port}"
    bundle = {
        "name": "bundle",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(ROOT), "refresh_interval": 5},
    }
    options = {
        "CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "CORE__FERNET_KEY": local_secret(secrets, "airflow-fernet"),
        "CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(settings.airflow_port),
        "API__BASE_URL": address,
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": local_secret(secrets, "airflow-jwt"),
        "API__SECRET_KEY": local_secret(secrets, "airflow-session"),
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "include.mlops.local.airflow_process.CONNECT_ARGS",
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    }
    return {
        **{f"AIRFLOW__{name}": value for name, value in options.items()},
        **NO_TELEMETRY,
        **exported(settings),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        # standalone starts its components as `airflow`; the folder is that of the environment, not what it links to.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }


def exported(settings: Settings) -> dict[str, str]:
    """The settings as the MLOPS_* variables that make another process read the same."""
    sources = {f"source_{connection}_url": url for connection, url in settings.source_urls.items()}
    values = {**settings.model_dump(exclude={"source_urls"}), **sources}
    texts = {name: one.get_secret_value() if isinstance(one, SecretStr) else str(one) for name, one in values.items()}
    return {f"MLOPS_{name.upper()}": text for name, text in texts.items() if text}


def airflow_answers(address: str, components: Sequence[str] = COMPONENTS) -> bool:
    """True once the API, and what is named of the database and the components, say that they are healthy."""
    try:
        answer = httpx.get(f"{address}/api/v2/monitor/health", timeout=5)
    except httpx.HTTPError:
        return False
    if not answer.is_success:
        return False
    health = answer.json()
    return all((health.get(component) or {}).get("status") == "healthy" for component in components)

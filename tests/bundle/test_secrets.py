"""What Airflow keeps and shows of tasks that work with passwords: everything that a run leaves is searched for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from include.mlops.local.ports import free_port
from include.mlops.settings import ROOT

pytestmark = pytest.mark.slow
SECRETS = {
    name: f"sesame/{name}@{number}" for number, name in enumerate(("spark", "lake", "mlflow", "ledger", "slack"))
}
BUNDLE = {
    "name": "bundle",
    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
    "kwargs": {"path": str(ROOT)},
}


def _connections() -> dict[str, str]:
    """One each, of a server that is not there."""
    kinds = {"spark": "spark-connect", "lake": "postgres", "mlflow": "http", "ledger": "postgres", "slack": "slack"}
    extras = {"spark": {"use_ssl": True}, "lake": {"warehouse": "s3://lake/warehouse"}}
    return {
        f"AIRFLOW_CONN_MLOPS_{name.upper()}": json.dumps(
            {
                "conn_type": kind,
                "host": "127.0.0.1",
                "port": free_port(),
                "login": "" if name == "spark" else "me",
                "password": SECRETS[name],
                "schema": "http" if name == "mlflow" else "mlops",
                "extra": extras.get(name, {}),
            }
        )
        for name, kind in kinds.items()
    }


def test_a_failing_run_leaves_no_secret_in_logs_database_or_output(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        **_connections(),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([BUNDLE]),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        "MLOPS_CONNECTIONS": "spark,lake,mlflow,ledger,slack",
        "MLOPS_STATE": str(tmp_path / "state"),
        "MLOPS_SLACK_URL": f"http://127.0.0.1:{free_port()}",
        "PYTHONPATH": str(ROOT),
    }
    said = ""
    for command in (["db", "migrate"], ["dags", "reserialize"], ["dags", "test", "doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command], env=environment, capture_output=True, text=True, check=False
        )
        said += done.stdout + done.stderr
    assert "thing(s) to mend" in said, said[-3000:]
    for service in ("ledger", "lake", "spark", "mlflow"):
        assert f"wrong {service}" in said, said[-3000:]
    left = {str(file): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert any(name.endswith("airflow.db") for name in left)
    for name, secret in SECRETS.items():
        for form in (secret, quote(secret, safe="")):
            assert form not in said, f"the secret of {name} is in what the run prints"
            assert not [file for file, content in left.items() if form.encode() in content], name

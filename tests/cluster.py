"""The topology of a cluster without containers: Postgres, an S3 server, Spark's master with two workers and a Connect
server on it, and MLflow on Postgres and S3. Every process is real, on this machine, on a free port.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from include.mlops.local.ports import free_port
from include.mlops.local.prepare import prepare
from include.mlops.local.services import mlflow_service, spark_master_service, spark_service, spark_worker_service
from include.mlops.local.supervisor import Service, Supervisor
from include.mlops.settings import ROOT, Settings
from tests.aws_environment import REGION, environment, keys
from tests.postgres import database_of_its_own, postgres_server

WORKERS = 2
GATEWAY = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"


@contextmanager
def cluster(home: Path) -> Iterator[Settings]:
    """Settings that name all of it; the keys of its S3 are in the environment of this process meanwhile."""
    endpoint, master = f"http://127.0.0.1:{free_port()}", f"spark://127.0.0.1:{free_port()}"
    with ExitStack() as opened:
        postgres = opened.enter_context(postgres_server())
        catalog, ledger, runs = (opened.enter_context(database_of_its_own(postgres)) for _ in range(3))
        opened.enter_context(environment(keys(endpoint, "mlops", secrets.token_hex(16))))
        supervisor = opened.enter_context(Supervisor(home / "logs"))
        settings = Settings(
            state=home,
            catalog_url=catalog,
            ledger_url=ledger,
            warehouse_url="s3://lake/warehouse",
            landing_url="s3://landing",
            spark_master=master,
            spark_memory="1g",
            spark_port=free_port(),
            mlflow_port=free_port(),
            mlflow_store_url=runs,
            mlflow_artifacts_url="s3://mlflow/artifacts",
        )
        supervisor.start(object_store(home / "s3", endpoint))
        supervisor.wait_until_up()
        list(prepare(settings))
        supervisor.start(spark_master_service(settings, free_port()))
        supervisor.start(mlflow_service(settings))
        supervisor.wait_until_up()
        for number in range(WORKERS):
            worker = spark_worker_service(
                settings.model_copy(update={"state": home / f"worker-{number}"}), free_port(), 1, "2g"
            )
            supervisor.start(replace(worker, name=f"{worker.name}-{number}"))
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        yield settings


def object_store(home: Path, endpoint: str) -> Service:
    (home / "buckets").mkdir(parents=True)
    (home / "meta").mkdir()
    command = (str(gateway()), "--port", endpoint.removeprefix("http://"), "--region", REGION, "--quiet")
    place = ("posix", "--sidecar", str(home / "meta"), str(home / "buckets"))
    root = {"ROOT_ACCESS_KEY": os.environ["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": os.environ["AWS_SECRET_ACCESS_KEY"]}
    return Service("s3", (*command, *place), lambda: _refuses(endpoint), endpoint, root, home)


def gateway() -> Path:
    """The S3 server, built once by Go. Skips where there is no Go."""
    program = ROOT / ".jars" / "versitygw"
    with (program.parent / "versitygw.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two processes that test, one builds it and one waits
        if not program.exists():
            if not shutil.which("go"):
                pytest.skip("Go is not installed, which builds the S3 server")
            building = {**os.environ, "GOBIN": str(program.parent), "CGO_ENABLED": "0"}
            subprocess.run(["go", "install", GATEWAY], check=True, env=building, capture_output=True)
    return program


def _refuses(endpoint: str) -> bool:
    """Up, and asks for a signature."""
    try:
        return httpx.get(endpoint, timeout=5).status_code == 403
    except httpx.HTTPError:
        return False

"""The part of EMR Serverless: moto's server takes the requests, and this runs a job run as it was asked for.

Everything that a job is given comes out of S3 by way of what it was started with; this machine is the cluster.
"""

from __future__ import annotations

import os
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import moto.emrserverless.models as emr
import pytest
from moto.emrserverless.exceptions import ValidationException

from include.mlops.compute.connect_server import java_command, spark_environment
from include.mlops.compute.java import find_java
from include.mlops.local.ports import free_port
from include.mlops.settings import Settings
from tests.aws_environment import REGION

ROLE = "arn:aws:iam::123456789012:role/mlops-jobs"


def create_application() -> str:
    """The id of a Spark application."""
    client = boto3.client("emr-serverless")
    found: str = client.create_application(name="mlops", releaseLabel="emr-7.12.0", type="SPARK")["applicationId"]
    _backend().job_runs[found] = []  # moto takes an application without jobs for none
    return found


def jobs_stay_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's job runs have succeeded when they are started; these wait for somebody to run them."""
    monkeypatch.setattr(emr, "JOB_STATUS", "SUBMITTED")


def job_runs(application: str) -> list[Any]:
    """Those that were started, as moto keeps them."""
    return list(_backend().job_runs[application])


def kept_application(application: str) -> Any:
    """As moto keeps it."""
    return _backend().applications[application]


def settles_once_it_refused(monkeypatch: pytest.MonkeyPatch, application: str, meanwhile: str) -> None:
    """The application is in that state until somebody wants it started, which it refuses, and for a second more."""
    kept, start = kept_application(application), emr.EMRServerlessBackend.start_application
    kept.state = meanwhile

    def refused(backend: Any, application_id: str) -> None:
        if kept.state == meanwhile:
            settled = "STOPPED" if meanwhile == "STOPPING" else "STARTED"
            threading.Timer(1, lambda: setattr(kept, "state", settled)).start()
            raise ValidationException(f"Application {application_id} is {meanwhile}")
        start(backend, application_id)

    monkeypatch.setattr(emr.EMRServerlessBackend, "start_application", refused)


def _backend() -> Any:
    return emr.emrserverless_backends["123456789012"][REGION]


def run_job(job: Any, home: Path) -> str:
    """Run what the job run asks for, and put it into the state in which it ends. What it printed."""
    job.state = "RUNNING"
    home.mkdir(parents=True)
    submit = job.job_driver["sparkSubmit"]
    (told,) = job.configuration_overrides["applicationConfiguration"]
    assert told["classification"] == "spark-defaults"
    properties = dict(told["properties"])
    for archive in properties.pop("spark.archives").split(","):
        url, _, folder = archive.partition("#")
        zipfile.ZipFile(_fetch(url, home)).extractall(home / folder)
    jars = [_fetch(url, home) for url in properties.pop("spark.jars").split(",")]
    prefix = "spark.emr-serverless.driverEnv."
    variables = {
        name.removeprefix(prefix): properties.pop(name) for name in list(properties) if name.startswith(prefix)
    }
    assert not properties, "a property that nobody here plays"
    configuration = home / "spark.conf"
    configuration.write_text(f"spark.master local[2]\nspark.ui.enabled false\nspark.jars {','.join(map(str, jars))}\n")
    launch = _fetch(submit["entryPoint"], home)
    arguments = ("--properties-file", str(configuration), str(launch), *submit["entryPointArguments"])
    command = java_command(find_java(), "1g", home, "org.apache.spark.deploy.SparkSubmit", *arguments)
    # SPARK_: what a Connect session of this process leaves behind would make the driver a client.
    ours = ("MLOPS_", "AIRFLOW", "SPARK_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = {**own, **spark_environment(Settings()), **variables, "MLOPS_SPARK_PORT": str(free_port())}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    job.state = "FAILED" if done.returncode else "SUCCESS"
    return done.stdout + done.stderr


def _fetch(url: str, home: Path) -> Path:
    parts = urlsplit(url)
    file = home / Path(parts.path).name
    boto3.client("s3").download_file(parts.netloc, parts.path.lstrip("/"), str(file))
    return file

"""Airflow parses every DAG file again and again: a file must not import what only running needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from include.mlops.settings import ROOT

FILES = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "dags").glob("*.py"))
HEAVY = {"evidently", "great_expectations", "mlflow", "numpy", "pandas", "pyarrow", "pyspark", "sklearn", "xgboost"}
OURS = {"alembic", "pyiceberg", "slack_sdk"}  # not heavy, and yet none of a parser's business
MEASURE = """
import json, os, runpy, sys, time
import airflow.sdk
from airflow.sdk import DAG, BaseOperator, task  # names load when they are first used
import airflow.triggers.base

for file in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork() == 0:  # each file begins with Airflow alone
        before, began = set(sys.modules), time.process_time()
        names = runpy.run_path(file)
        seconds = time.process_time() - began
        loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
        print(json.dumps({"file": file, "seconds": seconds, "loaded": loaded}), flush=True)
        os._exit(0)
    os.wait()
"""


ON_AWS = {
    "MLOPS_JOBS": "emr-serverless://00f1",
    "MLOPS_JOBS_ROLE": "arn:aws:iam::123456789012:role/jobs",
    "MLOPS_JOBS_SECRET": "mlops",
    "MLOPS_JOBS_URL": "s3://lake/jobs",
    "MLOPS_LANDED_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/landed",
    "MLOPS_LANDING_URL": "s3://landing",
}


@pytest.fixture(scope="module", params=[{}, ON_AWS], ids=["here", "on AWS"])
def parsed(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the import of each DAG file loads and takes beyond Airflow's own."""
    environment = {**os.environ, **request.param, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *FILES], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"file"')]
    return {one["file"]: one for one in found}


@pytest.mark.parametrize("file", FILES)
def test_a_dag_file_imports_nothing_heavy(parsed: dict[str, Any], file: str) -> None:
    assert "include" in parsed[file]["loaded"], "the file was not run"
    assert (HEAVY | OURS) & set(parsed[file]["loaded"]) == set()


@pytest.mark.parametrize("file", FILES)
def test_a_dag_file_costs_little_beyond_airflow_itself(parsed: dict[str, Any], file: str) -> None:
    assert parsed[file]["seconds"] < 2

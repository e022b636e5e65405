"""The command `job`: an order in a file, and the answer beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.mlops.compute.emr_serverless import read_answer
from include.mlops.local.airflow import exported
from include.mlops.settings import ROOT, Settings

pytestmark = pytest.mark.slow


def _run(settings: Settings, folder: Path, order: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (folder / "order.json").write_text(json.dumps(order))
    command = [sys.executable, "-m", "include.mlops", "job", str(folder / "order.json")]
    environment = {**os.environ, **exported(settings)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_steps_error_is_the_answer_and_the_exit_code(settings: Settings, tmp_path: Path) -> None:
    inputs = {"group": "flight_outcomes", "lacking": None}
    done = _run(settings, tmp_path, {"step": "ingest", "run_id": "r", "ds": "2013-04-05", "inputs": inputs})
    assert done.returncode == 1
    answer = read_answer(str(tmp_path / "order.json"))
    assert answer
    assert answer["error"] == "PartitionsFailed"
    assert "flight_outcomes/2013-04-05.csv, found none" in answer["message"]
    assert answer["message"] in done.stderr


def test_an_error_that_nobody_thought_of_is_an_answer_too(settings: Settings, tmp_path: Path) -> None:
    done = _run(settings, tmp_path, {"step": "ingest", "run_id": "r", "ds": "2013-04-05", "inputs": {}})
    assert done.returncode == 1
    assert read_answer(str(tmp_path / "order.json")) == {"error": "MlopsError", "message": "KeyError: 'group'"}


def test_a_steps_result_is_the_answer(settings: Settings, tmp_path: Path) -> None:
    order = {"step": "restate_dependents", "run_id": "r", "ds": "2013-04-05", "inputs": {"group": "flight_outcomes"}}
    done = _run(settings, tmp_path, order)
    assert done.returncode == 0, done.stderr
    answer = read_answer(str(tmp_path / "order.json"))
    assert answer == {"result": {"made": {}, "left": {}, "failures": {}}}

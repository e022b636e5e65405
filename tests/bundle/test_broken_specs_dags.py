"""A broken specification takes down its own DAGs; the others stay, and the finding is Airflow's import error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.mlops.settings import ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

MODEL = "models/flight_delay.yaml"
WEATHER = "feature_groups/airport_weather/feature_group.yaml"
OF_MODEL = {"score_flight_delay", "performance_flight_delay", "retrain_flight_delay"}


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example's specifications, which the DAG files read."""
    root = tmp_path / "include"
    for folder in ("feature_groups", "models"):
        shutil.copytree(ROOT / "include" / folder, root / folder)
    monkeypatch.setenv("MLOPS_SPECS", str(root))
    return root


def _break(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def _checked() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "include.mlops", "check"],
        cwd=ROOT,
        env=dict(os.environ),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    return done.stdout.strip()


def test_a_broken_model_takes_down_its_own_dags_alone(
    specs: Path, parse: Callable[[Path], DagBag], bag: DagBag
) -> None:
    _break(specs / MODEL, "owner:", "ownr:")

    broken = parse(ROOT / "dags")

    assert set(broken.dags) == set(bag.dags) - OF_MODEL


def test_a_broken_group_takes_down_itself_its_readers_and_their_models(
    specs: Path, parse: Callable[[Path], DagBag], bag: DagBag
) -> None:
    _break(specs / WEATHER, "event_time: observed_at", "event_time: observd_at")

    broken = parse(ROOT / "dags")

    of_models = {dag for dag in bag.dags if dag.startswith(("score_", "performance_", "retrain_"))}
    lost = {"ingest_airport_weather", "ingest_scheduled_flights", *of_models}
    assert set(broken.dags) == set(bag.dags) - lost, "scheduled_flights reads the weather, and the models read those"


def test_a_specification_that_is_gone_takes_its_dags_with_it(
    specs: Path, parse: Callable[[Path], DagBag], bag: DagBag
) -> None:
    (specs / MODEL).unlink()

    assert set(parse(ROOT / "dags").dags) == set(bag.dags) - OF_MODEL


def test_the_import_error_lists_every_finding_as_check_does(specs: Path, parse: Callable[[Path], DagBag]) -> None:
    _break(specs / MODEL, "owner:", "ownr:")
    _break(specs / WEATHER, "event_time: observed_at", "event_time: observd_at")

    errors = parse(ROOT / "dags").import_errors

    assert set(errors) == {"dags/broken_specs.py"}
    (shown,) = errors.values()
    assert shown.strip() == f"ValueError: {_checked()}"
    assert "models/flight_delay.yaml:" in shown
    assert "did you mean 'owner'?" in shown
    assert "feature_groups/airport_weather/feature_group.yaml:" in shown
    assert "Traceback" not in shown


def test_many_findings_are_all_shown(specs: Path, parse: Callable[[Path], DagBag]) -> None:
    for number in range(30):
        (specs / "models" / f"model_{number}.yaml").write_text("name: no\n")

    (shown,) = parse(ROOT / "dags").import_errors.values()

    assert all(f"models/model_{number}.yaml:" in shown for number in range(30))
    assert shown.strip() == f"ValueError: {_checked()}"


def test_no_specifications_at_all_leave_the_dags_that_serve_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parse: Callable[[Path], DagBag]
) -> None:
    (tmp_path / "feature_groups").mkdir()
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))

    empty = parse(ROOT / "dags")

    assert set(empty.dags) == {"bulk", "deliver_alerts", "doctor", "maintain"}
    assert empty.import_errors == {}

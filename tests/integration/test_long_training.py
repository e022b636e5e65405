"""Trainings that are killed and go on, and searches with nested runs, over a real lake and a real MLflow server."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from include.mlops.learner.predict import load
from include.mlops.settings import Settings
from include.mlops.spec.model import Model
from include.mlops.steps.training.reproduce import reproduce
from include.mlops.steps.training.searching import PLOT, TABLE
from include.mlops.steps.training.train import Trained, train
from include.mlops.steps.training.training_record import RECORD
from tests.integration.scoring.world import V1_AS_OF, World, day, days, flights, late_flights

pytestmark = pytest.mark.slow

ROUNDS, TRIALS = 60, 8
TRAINING = {
    "window": "10d",
    "holdout": "3d",
    "rounds": ROUNDS,
    "threads": 1,
    "parameters": {"max_depth": 2, "learning_rate": 0.2, "colsample_bynode": 0.8},
    "early_stopping": {"validation": "3d", "patience": 8},
    "checkpoint_every": 5,
}
SEARCH = {"trials": TRIALS, "minutes": 5, "space": {"subsample": [0.5, 1.0], "min_child_weight": [1, 20]}}
DIES_AT = """
import json, logging, os, signal, sys
from include.mlops.steps.training.train import train
from tests.integration.scoring.world import V1_AS_OF, World, day, late_flights
logging.basicConfig(level="INFO")
state, mlflow_url, name, training, point = sys.argv[1:]
model = late_flights(name, training=json.loads(training))
die = lambda number, *_: number == int(point) and os.kill(os.getpid(), signal.SIGKILL)
train(World.of(state, mlflow_url, name).platform, model, day(V1_AS_OF), "killed", die)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mlflow_server: Settings) -> World:
    state = tmp_path_factory.mktemp("state")
    (state / "lake").mkdir()
    made = World.of(state, mlflow_server.mlflow_url, "late")
    for number in days(1, V1_AS_OF):
        made.publish(flights(number), [number])
    made.publish_outcomes(*range(1, V1_AS_OF + 1))
    return made


def _model(**training: Any) -> Model:
    return late_flights(f"late_{uuid.uuid4().hex[:8]}", training={**TRAINING, **training})


def _again(model: Model) -> Model:
    """The same under another name."""
    return model.model_copy(update={"name": f"{model.name}_clean"})


def _train(world: World, model: Model, told: list[int] | None = None) -> Trained:
    seen = [] if told is None else told
    return train(world.platform, model, day(V1_AS_OF), "run", lambda number, *_: seen.append(number))


def _killed_at(world: World, model: Model, training: Mapping[str, Any], point: int) -> str:
    settings, told = world.platform.settings, json.dumps({**TRAINING, **training})
    command = [sys.executable, "-c", DIES_AT, str(settings.state), settings.mlflow_url, model.name, told, str(point)]
    died = subprocess.run(command, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    return died.stderr


def _client(world: World) -> MlflowClient:
    return MlflowClient(world.platform.settings.mlflow_url)


def _runs(world: World, model: Model) -> list[Run]:
    """Newest first."""
    client = _client(world)
    experiment = client.get_experiment_by_name(model.name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], order_by=["start_time DESC"]))


def _nested(world: World, model: Model, parent: str) -> list[Run]:
    return [run for run in _runs(world, model) if run.data.tags.get("mlflow.parentRunId") == parent]


def _checkpoints(world: World, model: Model) -> list[Path]:
    warehouse = Path(world.platform.settings.warehouse.removeprefix("file://"))
    return list((warehouse / "checkpoints" / model.name).rglob("*.*"))


def _rounds(world: World, trained: Trained) -> dict[int, float]:
    history = _client(world).get_metric_history(trained.mlflow_run, "round_validation_log_loss")
    assert len(history) == len({point.step for point in history}), "a round was told twice"
    return {point.step: point.value for point in history}


def test_a_training_that_failed_and_was_killed_goes_on_from_its_checkpoints_and_ends_as_an_unbroken_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = _model()
    clean = _train(world, _again(model))

    def fail(number: int, of: int, metrics: Mapping[str, float]) -> None:
        if number == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(world.platform, model, day(V1_AS_OF), "failed", fail)
    assert f"resumed from the checkpoint after round 5 of {ROUNDS}" in _killed_at(world, model, {}, 13)
    assert [path.name for path in _checkpoints(world, model)] == ["000010.ubj"]

    done: list[int] = []
    trained = _train(world, model, done)

    assert f"resumed from the checkpoint after round 10 of {ROUNDS}" in caplog.text
    assert done[0] == 11
    assert trained.sha256 == clean.sha256
    assert _rounds(world, trained) == _rounds(world, clean)
    assert len(_rounds(world, trained)) < ROUNDS, "it stopped early"
    assert [run.info.status for run in _runs(world, model)] == ["FINISHED", "KILLED", "FAILED"]
    assert _checkpoints(world, model) == []


def test_a_search_that_was_killed_goes_on_from_its_trials_and_ends_as_an_unbroken_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = _model(search=SEARCH)
    clean = _train(world, _again(model))
    _killed_at(world, model, {"search": SEARCH}, 3 * ROUNDS + 2)

    done: list[int] = []
    trained = _train(world, model, done)

    assert "3 trial(s) of an unfinished search are taken over" in caplog.text
    assert done[0] == 3 * ROUNDS + 1
    assert done[-1] == (TRIALS + 1) * ROUNDS
    assert trained.sha256 == clean.sha256
    ours, theirs = (
        {run.info.run_name: (run.data.params, run.data.metrics, run.data.tags["mlops.trial_state"], run.info.status)
         for run in _nested(world, of, parent.mlflow_run)}
        for of, parent in ((model, trained), (_again(model), clean))
    )  # fmt: skip
    assert ours == theirs
    assert sorted(ours) == [f"trial {number}" for number in range(TRIALS)]
    assert set(ours["trial 0"][0]) == {"subsample", "min_child_weight"}
    assert "validation_roc_auc" in ours["trial 0"][1]


def test_a_searched_version_is_reproduced_with_the_parameters_that_were_found(world: World) -> None:
    own = {"trials": 2, "validation": "2d", "space": {"max_depth": [1, 4], "learning_rate": [0.1, 0.3]}}
    plain = {"early_stopping": None, "parameters": {}, "rounds": 10}
    for training in ({"search": SEARCH, "class_weight": "balanced", "monotone": {"hour": "increasing"}},
                     {**plain, "search": own}):  # fmt: skip
        model = _model(**training)
        trained = _train(world, model)
        version = world.platform.registry.version(model.name, 1)
        record = json.loads(world.platform.registry.artifact(version, RECORD))
        trials = world.platform.registry.artifact(version, TABLE).decode().splitlines()[1:]
        assert len(trials) == training["search"]["trials"]
        assert set(training["search"]["space"]) <= set(record["recipe"]["parameters"])
        assert world.platform.registry.artifact(version, PLOT).startswith(b"\x89PNG")
        run = _client(world).get_run(trained.mlflow_run)
        assert (
            load(world.platform.registry.model_file(version)).booster.num_boosted_rounds() == run.data.metrics["rounds"]
        )
        assert version.window == days(V1_AS_OF - 13, V1_AS_OF - 4), "the days that chose are days that it has seen"
        assert reproduce(world.platform, model.name, 1).sha256 == trained.sha256


def test_the_days_that_stop_it_are_neither_fitted_on_nor_in_the_holdout(world: World) -> None:
    trained = _train(world, _model())
    run = _client(world).get_run(trained.mlflow_run)
    sources = {entry.tags[0].value: json.loads(entry.dataset.source)["days"] for entry in run.inputs.dataset_inputs}
    assert sources == {
        "training": f"{day(2)}..{day(8)}",
        "validation": f"{day(9)}..{day(11)}",
        "holdout": f"{day(12)}..{day(14)}",
    }
    assert run.data.metrics["training_rows"] == 7 * 108
    assert run.data.metrics["validation_rows"] == 3 * 108

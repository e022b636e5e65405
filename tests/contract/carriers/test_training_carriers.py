"""Whoever carries the rows of a training, in process or Spark's workers: the same rows, and metrics within a tolerance.

The tolerance is for the sums: workers add gradients in another order and merge sketches of their shares into bins.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from pyarrow import fs

from include.mlops.errors import ServiceUnavailable, SettingsError, TrainingFailed
from include.mlops.learner.predict import load
from include.mlops.settings import Settings
from include.mlops.steps.release import release
from include.mlops.steps.training.reproduce import reproduce
from include.mlops.steps.training.train import Trained, train
from include.mlops.steps.training.training_record import RECORD
from include.mlops.stored_files import file_system
from tests.exhaustive import exhaustive
from tests.integration.scoring.world import DAYS, World, day, days, flights, late_flights

pytestmark = pytest.mark.slow
TOLERANCE = 0.02
TRAINING = {"window": "20d", "holdout": "6d", "rounds": 15, "threads": 1, "parameters": {"max_depth": 3}}
LATENESS = "'late' if delay > 15 else 'soon' if delay > 5 else 'early'"
CASES: dict[str, dict[str, Any]] = {
    "binary, balanced": {"training": {**TRAINING, "class_weight": "balanced"}},
    "binary, stopped early": {
        "training": {**TRAINING, "rounds": 60, "early_stopping": {"patience": 5, "validation": "5d"}}
    },
    "binary, sampled": {"training": {**TRAINING, "parameters": {"max_depth": 3, "subsample": 0.8}}},
    "regression, monotone": {
        "task": "regression",
        "label": {"group": "outcomes", "expression": "delay"},
        "gate": {"metric": "mae", "maximum": 30},
        "training": {**TRAINING, "monotone": {"hour": "increasing"}},
    },
    "multiclass": {
        "task": "multiclass",
        "label": {"group": "outcomes", "expression": LATENESS, "classes": ["early", "soon", "late"]},
        "gate": {"metric": "accuracy", "minimum": 0.3},
        "training": TRAINING,
    },
}


@pytest.fixture(scope="module")
def world(spark_server: Settings, mlflow_server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Thirty days on a lake that Spark can reach, under names of their own."""
    places = {"catalog_url": spark_server.catalog, "warehouse_url": spark_server.warehouse}
    made = World.of(
        tmp_path_factory.mktemp("carriers"),
        mlflow_server.mlflow_url,
        "unused",
        spark_remote=spark_server.spark_remote,
        **places,
    )
    every = list(days(1, DAYS))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, DAYS + 1))
    yield made
    made.platform.spark.stop()


@pytest.fixture
def trained(world: World) -> Callable[..., Trained]:
    def run(workers: int, **changes: Any) -> Trained:
        training = {**changes.pop("training", TRAINING), "workers": workers}
        model = late_flights(f"carried_{uuid.uuid4().hex[:8]}", training=training, **changes)
        return train(world.platform, model, day(29), "run")

    return run


@pytest.mark.parametrize("case", exhaustive(CASES, 0, 4))
def test_metrics_of_both_carriers_agree(trained: Callable[..., Trained], case: str) -> None:
    alone, together = trained(1, **CASES[case]), trained(2, **CASES[case])
    for name, value in alone.metrics.items():
        unit = 10.0 if name in ("mae", "rmse") else 1.0  # minutes
        assert together.metrics[name] == pytest.approx(value, abs=TOLERANCE * unit), name


def test_a_version_that_several_workers_fitted_is_a_version_like_any_other(
    world: World, trained: Callable[..., Trained]
) -> None:
    done, alone = trained(2), trained(1)
    version, other = (world.platform.registry.version(one.model, 1) for one in (done, alone))
    predictor, usual = (load(world.platform.registry.model_file(one)) for one in (version, other))
    assert predictor.encoder == usual.encoder, "the same categories in the same order"
    assert reproduce(world.platform, done.model, 1).sha256 == done.sha256
    model = late_flights(done.model, training={**TRAINING, "workers": 2})
    assert release(world.platform, model, 1, day(29), "tester", "run").outcome == "promoted"
    history = world.platform.registry._client.get_metric_history(version.mlflow_run, "round_log_loss")
    assert [metric.step for metric in history] == list(range(1, 16))


def test_what_a_task_may_not_hold_is_fitted_by_spark_and_profiled_by_a_sample(world: World) -> None:
    small = world.platform.settings.model_copy(update={"task_memory": "370k", "spark_workers": 2})
    tight = type(world.platform)(small, world.platform.specs)
    model = late_flights(f"carried_{uuid.uuid4().hex[:8]}", training={**TRAINING, "workers": "auto"})
    done = train(tight, model, day(29), "run")
    version = tight.registry.version(done.model, 1)
    logged = tight.registry._client.get_run(version.mlflow_run).data.metrics
    assert 0.3 * 20 * 108 < logged["sampled_training_rows"] < 0.9 * 20 * 108
    assert done.metrics["roc_auc"] > 0.8
    record = json.loads(tight.registry.artifact(version, RECORD))
    assert record["workers"] == 2
    tight.spark.stop()


def test_workers_that_are_killed_leave_a_checkpoint_from_which_all_go_on_to_the_same_bytes(
    world: World, trained: Callable[..., Trained], spark_server: Settings
) -> None:
    training = {**TRAINING, "rounds": 400, "checkpoint_every": 20, "parameters": {"max_depth": 3, "subsample": 0.8}}
    clean = trained(2, training=training)
    name = f"killed_{uuid.uuid4().hex[:8]}"
    folder = f"{world.platform.settings.warehouse}/checkpoints/{name}"
    killer = threading.Thread(target=_kill_workers_after_a_checkpoint, args=(spark_server, folder))
    killer.start()
    model = late_flights(name, training={**training, "workers": 2})
    with pytest.raises(ServiceUnavailable, match="Spark was lost while training on 2 workers"):
        train(world.platform, model, day(29), "killed")
    killer.join()
    left = [int(file.removesuffix(".ubj")) for file in _kept(folder)]
    assert left, "two, where the kill came between the new one and the end of the old"
    assert 20 <= max(left) < 400

    again = train(world.platform, model, day(29), "again")

    assert again.sha256 == clean.sha256
    assert _kept(folder) == []
    version = world.platform.registry.version(name, 1)
    told = world.platform.registry._client.get_metric_history(version.mlflow_run, "round_log_loss")
    assert [metric.step for metric in told] == list(range(1, 401)), "those before the kill, too"


def _kept(folder: str) -> list[str]:
    filesystem, path = file_system(folder)
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return [one.base_name for one in found if one.base_name.endswith(".ubj")]


def _kill_workers_after_a_checkpoint(server: Settings, folder: str) -> None:
    """SIGKILL of the Python processes in which the server's tasks run, as a machine without memory does."""
    end = time.monotonic() + 120
    while time.monotonic() < end and not _kept(folder):
        time.sleep(0.01)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _runs_tasks(process) and Path(process.cwd()).is_relative_to(server.state):
                process.kill()


def _runs_tasks(process: psutil.Process) -> bool:
    """A daemon of Spark's forks them."""
    parent = process.parent()
    return parent is not None and all("pyspark.daemon" in one.cmdline() for one in (process, parent))


def test_several_workers_are_refused_what_one_is_refused(world: World, trained: Callable[..., Trained]) -> None:
    with pytest.raises(TrainingFailed, match="expected at least 2 classes in the training window, found only false"):
        trained(2, label={"group": "outcomes", "expression": "delay > 1000"})
    with pytest.raises(SettingsError, match=r"expected device: cpu with training.workers: 2, found cuda"):
        trained(2, training={**TRAINING, "device": "cuda"})

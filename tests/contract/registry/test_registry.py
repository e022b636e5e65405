"""The registry against a real MLflow server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow import MlflowClient

from include.mlops.errors import MlopsError, ServiceUnavailable
from include.mlops.learner.fit import Examples, fit
from include.mlops.learner.predict import load
from include.mlops.learner.recipe import Recipe
from include.mlops.local.ports import free_port
from include.mlops.registry.model_format import ModelArtifact
from include.mlops.registry.registry import Registry
from include.mlops.registry.run import DatasetUse, Run
from include.mlops.registry.version import CHALLENGER, CHAMPION, Version
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval

pytestmark = pytest.mark.slow

ROWS = pa.table(
    {
        "carrier": ["AA", "UA", None, "ZZ"] * 50,
        "hour": pa.array([1, None, 3, 4] * 50, pa.int64()),
        "late": [True, False] * 100,
    }
)
LABELS = np.array([0.0, 1.0, 0.0, 1.0] * 50)
COLUMNS = {"carrier": "string", "hour": "any", "late": "any"}


def _skip(number: int, metrics: object) -> None:
    """The rounds are of no interest here."""


FITTED = fit(Examples(ROWS, LABELS), Examples(ROWS, LABELS), Recipe("binary", tuple(COLUMNS), 5, 7, 1), _skip).model
ARTIFACT = ModelArtifact(FITTED, COLUMNS, load(FITTED).output_types, ROWS.slice(0, 3).to_pylist())
TAGS = {
    "mlops.as_of": "2013-04-08",
    "mlops.window": "2013-02-01..2013-03-28",
    "mlops.holdout": "2013-03-29..2013-04-04",
    "mlops.holdout_metrics": json.dumps({"roc_auc": 0.7}),
    "mlops.model_sha256": hashlib.sha256(FITTED).hexdigest(),
}


@pytest.fixture
def registry(mlflow_server: Settings) -> Registry:
    return Registry(mlflow_server.mlflow_url)


@pytest.fixture
def client(mlflow_server: Settings) -> MlflowClient:
    return MlflowClient(mlflow_server.mlflow_url, mlflow_server.mlflow_url)


@pytest.fixture
def model() -> str:
    return f"model_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def mlflow_address(mlflow_server: Settings) -> Iterator[str]:
    """For a reader who knows MLflow and nothing of this library."""
    mlflow.set_tracking_uri(mlflow_server.mlflow_url)
    mlflow.set_registry_uri(mlflow_server.mlflow_url)
    yield mlflow_server.mlflow_url
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def _begin(registry: Registry, model: str, key: str) -> Run:
    return registry.begin(model, "a run", {"training.rounds": 5}, {"mlops.training_key": key})


def _register(registry: Registry, model: str, key: str) -> Version:
    return _begin(registry, model, key).register(ARTIFACT, {**TAGS, "mlops.training_key": key}, "as of 2013-04-08")


def test_a_registered_version_is_found_by_its_training_key_with_what_it_was_told(
    registry: Registry, model: str
) -> None:
    assert registry.find(model, "k1") is None
    registered = _register(registry, model, "k1")
    _register(registry, model, "k2")
    found = registry.find(model, "k1")
    assert found == registered == registry.version(model, 1)
    assert found.as_of == date(2013, 4, 8)
    assert found.holdout == Interval(date(2013, 3, 29), date(2013, 4, 4))
    assert found.metrics == {"roc_auc": 0.7}
    assert [version.number for version in registry.versions(model)] == [1, 2]


def test_no_request_asks_the_spark_session_of_the_process_which_may_be_gone(
    registry: Registry, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("mlflow.utils.databricks_utils._get_active_spark_session", lambda: asked.append(1))
    _register(registry, model, "k")
    assert not asked


def test_the_model_file_comes_back_byte_for_byte(registry: Registry, model: str) -> None:
    assert registry.model_file(_register(registry, model, "k")) == FITTED


def test_a_model_file_that_was_changed_after_it_was_registered_is_refused(registry: Registry, model: str) -> None:
    version = _register(registry, model, "k")
    registry.tag(version, "mlops.model_sha256", "0" * 64)
    with pytest.raises(MlopsError, match="it was changed after it was registered"):
        registry.model_file(registry.version(model, 1))


def test_a_finished_run_holds_parameters_rounds_metrics_data_and_files(
    registry: Registry, client: MlflowClient, model: str
) -> None:
    run = _begin(registry, model, "k")
    for number in range(1, 301):
        run.log_round(number, {"log_loss": 1 / number, "roc_auc": 0.5})
    run.log_metrics({"holdout_roc_auc": 0.7})
    run.log_dataset(DatasetUse("features.flights_v1", "training", "d1", {"tag": "train_x", "snapshot_id": 12}, COLUMNS))
    run.log_dataset(DatasetUse("features.flights_v1", "holdout", "d2", {"tag": "train_x", "snapshot_id": 12}, COLUMNS))
    run.log_files({"record.json": b"{}", "rows.bin": b"\x00"})
    version = run.register(ARTIFACT, TAGS, "")
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"training.rounds": "5"}
    assert found.data.metrics["holdout_roc_auc"] == 0.7
    history = client.get_metric_history(run.run_id, "round_log_loss")
    assert [(point.step, point.value) for point in history] == [(number, 1 / number) for number in range(1, 301)]
    inputs = {entry.tags[0].value: entry.dataset for entry in found.inputs.dataset_inputs}
    assert {context: (data.name, data.digest) for context, data in inputs.items()} == {
        "training": ("features.flights_v1", "d1"),
        "holdout": ("features.flights_v1", "d2"),
    }
    assert json.loads(inputs["training"].source)["snapshot_id"] == 12
    assert registry.artifact(version, "rows.bin") == b"\x00"


def test_an_unfinished_run_is_abandoned_as_killed_and_others_are_left_alone(
    registry: Registry, client: MlflowClient, model: str
) -> None:
    lost, other = _begin(registry, model, "k"), _begin(registry, model, "another")
    _register(registry, model, "k")
    assert registry.abandon(model, "k") == [lost.run_id]
    assert client.get_run(lost.run_id).info.status == "KILLED"
    assert client.get_run(other.run_id).info.status == "RUNNING"
    assert registry.abandon(model, "k") == []


def test_a_run_that_died_between_registering_and_finishing_is_finished(
    registry: Registry, client: MlflowClient, model: str
) -> None:
    version = _register(registry, model, "k")
    client.update_run(version.mlflow_run, status="RUNNING")
    registry.close(version)
    assert client.get_run(version.mlflow_run).info.status == "FINISHED"


def test_a_failed_run_keeps_the_rounds_that_it_came_to(registry: Registry, client: MlflowClient, model: str) -> None:
    run = _begin(registry, model, "k")
    run.log_round(1, {"log_loss": 0.5})
    run.fail()
    found = client.get_run(run.run_id)
    assert (found.info.status, found.data.metrics) == ("FAILED", {"round_log_loss": 0.5})


def test_an_alias_moves_and_goes(registry: Registry, model: str) -> None:
    first, second = _register(registry, model, "k1"), _register(registry, model, "k2")
    assert registry.aliased(model, CHAMPION) is None
    registry.alias(first, CHAMPION)
    registry.alias(second, CHALLENGER)
    registry.alias(second, CHAMPION)
    registry.unalias(model, CHALLENGER)
    registry.unalias(model, CHALLENGER)
    assert registry.aliased(model, CHAMPION) == second
    assert registry.aliased(model, CHALLENGER) is None


def test_an_alias_of_a_model_that_does_not_exist_is_nobody(registry: Registry, model: str) -> None:
    assert registry.aliased(model, CHAMPION) is None


def test_a_version_that_does_not_exist_is_refused_with_those_that_do(registry: Registry, model: str) -> None:
    _register(registry, model, "k")
    with pytest.raises(MlopsError, match=rf"expected version 7 of {model} in MLflow, found 1"):
        registry.version(model, 7)


def test_a_version_of_another_tool_is_refused_by_the_tag_that_it_lacks(registry: Registry, model: str) -> None:
    version = _begin(registry, model, "k").register(ARTIFACT, {}, "")
    with pytest.raises(MlopsError, match=r"expected the tag mlops\.as_of"):
        _ = version.as_of


def test_anyone_can_load_the_champion_by_its_alias_and_gets_the_same_scores(
    registry: Registry, mlflow_address: str, model: str
) -> None:
    registry.alias(_register(registry, model, "k"), CHAMPION)
    loaded = mlflow.pyfunc.load_model(f"models:/{model}@champion")
    frame = pd.DataFrame({"carrier": ["AA", None, "??"], "hour": [1, 2, 3], "late": [True, False, True]})
    expected = load(FITTED).predict(
        pa.table({"carrier": ["AA", None, "??"], "hour": [1.0, 2.0, 3.0], "late": [True, False, True]})
    )
    np.testing.assert_array_equal(loaded.predict(frame)["score"], expected)
    assert loaded.metadata.signature.inputs.input_names() == list(COLUMNS)
    np.testing.assert_array_equal(loaded.predict(loaded.input_example)["score"], load(FITTED).predict(ROWS.slice(0, 3)))


ELSEWHERE = """
import sys
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(model.predict(pandas.DataFrame({"carrier": ["UA"], "hour": [2], "late": [False]}))["score"].item())
"""


def test_a_model_brings_the_code_that_reads_it(
    registry: Registry, mlflow_server: Settings, model: str, tmp_path: Path
) -> None:
    _register(registry, model, "k")
    address = [mlflow_server.mlflow_url, f"models:/{model}/1"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *address],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    expected = load(FITTED).predict(pa.table({"carrier": ["UA"], "hour": [2], "late": [False]}))
    assert float(found.stdout.splitlines()[-1]) == expected[0]


def test_the_booster_can_be_loaded_too(registry: Registry, mlflow_address: str, model: str) -> None:
    _register(registry, model, "k")
    booster = mlflow.xgboost.load_model(f"models:/{model}/1")
    assert booster.feature_names == list(COLUMNS)


def test_nothing_is_pickled(registry: Registry, mlflow_address: str, model: str, tmp_path: Path) -> None:
    _register(registry, model, "k")
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{model}/1", dst_path=str(tmp_path)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"MLmodel", "model.ubj", "requirements.txt"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".cloudpickle", ".pyc"}]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]
    assert "cloudpickle" not in "".join(
        path.read_text() for path in files if path.suffix in {".txt", ".yaml"} or path.name == "MLmodel"
    )


def test_the_links_point_into_the_interface(registry: Registry, mlflow_server: Settings, model: str) -> None:
    version = _register(registry, model, "k")
    assert registry.version_url(model, 1) == f"{mlflow_server.mlflow_url}/#/models/{model}/versions/1"
    assert registry.run_url(version).endswith(f"/runs/{version.mlflow_run}")


def test_a_server_that_does_not_answer_is_a_transient_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceUnavailable, match=f"MLflow at {url} did not answer") as raised:
        Registry(url).versions("flight_delay")
    assert raised.value.transient

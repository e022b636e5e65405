"""The loop of models that are not binary: trained, released, scored, watched and measured like any other."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mlflow import MlflowClient, artifacts, pyfunc
from sklearn.metrics import f1_score, mean_absolute_error

from include.mlops.errors import MlopsError
from include.mlops.learner.predict import load
from include.mlops.settings import Settings
from include.mlops.spec.tasks import TASKS
from include.mlops.steps.release import Released, release
from include.mlops.steps.training.train import train
from tests.integration.scoring.world import (
    A_DAY,
    COLUMNS,
    DAYS,
    KEYS,
    V1_AS_OF,
    V2_AS_OF,
    World,
    day,
    days,
    delays,
    flights,
    late_flights,
)

pytestmark = pytest.mark.slow

CLASSES = ["on_time", "late", "very_late"]
HOW_LATE: dict[str, Any] = {
    "task": "multiclass",
    "label": {
        "group": "outcomes",
        "expression": "'very_late' if delay > 22 else 'late' if delay > 12 else 'on_time'",
        "classes": CLASSES,
    },
    "gate": {"metric": "f1_macro", "minimum": 0.4},
}
HOW_MANY_MINUTES: dict[str, Any] = {
    "task": "regression",
    "label": {"group": "outcomes", "expression": "delay"},
    "gate": {"metric": "mae", "maximum": 9},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, mlflow_server: Settings) -> Callable[[dict[str, Any]], World]:
    """A world with flights and outcomes of all days, and a first version that is live from day 16 on."""

    def make(changes: dict[str, Any]) -> World:
        name = f"{changes['task']}_{uuid.uuid4().hex[:8]}"
        made = World.of(tmp_path_factory.mktemp(name), mlflow_server.mlflow_url, name)
        made = World(made.platform, late_flights(name, **changes))
        made.publish(pa.concat_tables([flights(ds) for ds in days(1, DAYS)]), list(days(1, DAYS)))
        made.publish_outcomes(*range(1, DAYS + 1))
        assert _next_version(made, V1_AS_OF).outcome == "promoted"
        return made

    return make


@pytest.fixture(scope="module")
def how_late(opened: Callable[[dict[str, Any]], World]) -> World:
    return opened(HOW_LATE)


@pytest.fixture(scope="module")
def how_many_minutes(opened: Callable[[dict[str, Any]], World]) -> World:
    return opened(HOW_MANY_MINUTES)


@pytest.fixture(params=["how_late", "how_many_minutes"])
def either(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue(request.param)
    return made


def _next_version(world: World, as_of: int) -> Released:
    trained = train(world.platform, world.model, day(as_of), "run")
    return release(world.platform, world.model, trained.version, day(as_of), "airflow", "run")


def test_the_run_keeps_the_plots_of_its_task_and_its_metrics(either: World) -> None:
    task = TASKS[either.model.task]
    run_id = either.platform.registry.version(either.model.name, 1).mlflow_run
    client = MlflowClient(either.platform.settings.mlflow_url)
    assert {f"{name}.png" for name in task.plots} <= {file.path for file in client.list_artifacts(run_id)}
    logged = client.get_run(run_id).data.metrics
    assert {f"holdout_{name}" for name in task.metrics} <= set(logged)
    assert {f"round_{name}" for name in task.round_metrics} <= set(logged)


def test_classes_are_published_with_the_probability_of_each(how_late: World) -> None:
    how_late.score(16)
    rows = how_late.predictions(16)
    wanted = [*KEYS, "score", "predicted", *(f"score_{name}" for name in CLASSES), "model_version", "run_id"]
    assert rows.column_names == [*wanted, "scored_at", "in_sample", "ds"]
    predictor = load(how_late.platform.registry.model_file(how_late.platform.registry.version(how_late.model.name, 1)))
    expected = predictor.predict(flights(day(16)).sort_by([(key, "ascending") for key in KEYS]))
    np.testing.assert_array_equal(rows["score"].to_numpy(), expected.max(axis=1))
    np.testing.assert_array_equal(rows["score_very_late"].to_numpy(), expected[:, 2])
    assert rows["predicted"].to_pylist() == [CLASSES[code] for code in expected.argmax(axis=1)]
    assert len(set(rows["predicted"].to_pylist())) > 1


def test_what_happened_to_classes_is_measured_from_the_published_columns(how_late: World) -> None:
    how_late.score(17)
    (found,) = how_late.measure(17)
    delay = delays(day(17))
    known = ~np.isnan(delay)
    happened = np.select([delay > 22, delay > 12], ["very_late", "late"], "on_time")
    predicted = np.array(how_late.predictions(17).sort_by("flight")["predicted"].to_pylist())
    assert found.metrics["f1_macro"] == pytest.approx(f1_score(happened[known], predicted[known], average="macro"))
    assert set(found.metrics) == set(TASKS["multiclass"].metrics)
    assert found.coverage == 0.9
    assert found.verdict is not None


def test_what_happened_to_values_is_measured_in_their_own_unit(how_many_minutes: World) -> None:
    how_many_minutes.score(17)
    (found,) = how_many_minutes.measure(17)
    delay = delays(day(17))
    known = ~np.isnan(delay)
    predicted = how_many_minutes.predictions(17).sort_by("flight")["score"].to_numpy()
    assert found.metrics["mae"] == pytest.approx(mean_absolute_error(delay[known], predicted[known]))
    assert found.verdict is not None
    assert found.verdict.bad is False, "a quarter of the holdout's error is allowed for"


@pytest.mark.parametrize(("world", "watched"), [("how_late", {"score", "predicted"}), ("how_many_minutes", {"score"})])
def test_drift_of_everything_predicted_is_watched(
    world: str, watched: set[str], request: pytest.FixtureRequest
) -> None:
    made: World = request.getfixturevalue(world)
    made.score(18)
    ordinary = made.monitor(18)
    assert set(ordinary.distances) == {*COLUMNS, *watched}
    assert ordinary.verdict.bad is False
    made.publish_flights(19, carrier=["ZZ"] * A_DAY)
    made.score(19)
    shifted = made.monitor(19)
    assert {"carrier", *watched} <= set(shifted.verdict.detail["drifted"])
    made.publish_flights(19)


def test_a_second_version_is_compared_with_the_champion_on_the_same_rows(either: World) -> None:
    found = _next_version(either, V2_AS_OF)
    assert found.comparison is not None
    assert found.comparison.champion == 1
    assert found.comparison.rows == 3 * A_DAY * 0.9
    assert found.comparison.low <= found.comparison.difference <= found.comparison.high


def test_mlflow_serves_what_is_published(either: World) -> None:
    registry = either.platform.registry
    version = registry.version(either.model.name, 1)
    rows = flights(day(16))
    artifacts_uri = MlflowClient(either.platform.settings.mlflow_url).get_model_version_download_uri(version.model, "1")
    folder = artifacts.download_artifacts(artifacts_uri, tracking_uri=either.platform.settings.mlflow_url)
    loaded = pyfunc.load_model(folder)
    served = loaded.predict(rows.select(COLUMNS).to_pandas())
    predictor = load(registry.model_file(version))
    assert pa.table(dict(served.items())).equals(pa.table(predictor.outputs(rows)))
    assert loaded.metadata.signature.outputs.input_names() == list(predictor.output_types)


def test_another_question_under_the_same_name_is_refused(how_late: World) -> None:
    expression = "'early' if delay < 4 else " + HOW_LATE["label"]["expression"]
    label = {**HOW_LATE["label"], "expression": expression, "classes": ["early", *CLASSES]}
    asked = World(how_late.platform, late_flights(how_late.model.name, **{**HOW_LATE, "label": label}))
    with pytest.raises(MlopsError, match=r"what its champion v\d does \(multiclass, on_time, late, very_late\), found"):
        _next_version(asked, 22)

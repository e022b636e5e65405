"""Train, release and reproduce over a real Iceberg catalog, a real ledger and a real MLflow server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from sklearn.metrics import roc_auc_score

from include.mlops.errors import NotReady, NotReproducible, TrainingFailed
from include.mlops.learner.predict import load
from include.mlops.learner.profile import from_parquet
from include.mlops.ledger.publications import Publication
from include.mlops.registry.version import CHALLENGER, CHAMPION, MODEL_SHA256, PREVIOUS
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval, parse_days
from include.mlops.spec.load import Specs
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.release import release
from include.mlops.steps.training.reproduce import reproduce
from include.mlops.steps.training.train import train
from include.mlops.steps.training.training_record import REFERENCE

pytestmark = pytest.mark.slow

FIRST, SHIFT, DAYS, A_DAY = date(2013, 1, 1), 24, 44, 150
PUBLISHED = {"event_time": "timestamp", "available_at": "timestamp", "known_from": "date", "ds": "date"}


def _day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def _group(name: str, publishes: dict[str, str], delay: str) -> FeatureGroup:
    source = {
        "format": "csv",
        "path": name + "/{ds}.csv",
        "columns": {"carrier": "string", "flight": "int", "at": "timestamp"},
    }
    return FeatureGroup.model_validate(
        {
            "name": name,
            "owner": "team",
            "description": "made up",
            "keys": ["carrier", "flight"],
            "event_time": "at",
            "available_at": "at",
            "source": source,
            "publishes": {"carrier": "string", "flight": "int", **publishes},
            "first_partition": FIRST,
            "schedule": {"start": FIRST + timedelta(days=parse_days(delay)), "delay": delay},
        }
    )


FLIGHTS = _group("flights", {"hour": "int", "wind": "double"}, "0d")
OUTCOMES = _group("outcomes", {"delay": "double"}, "2d")


def _model(name: str, **changes: Any) -> Model:
    return Model.model_validate(
        {
            "name": name,
            "owner": "team",
            "task": "binary",
            "features": {"group": "flights", "columns": ["carrier", "hour", "wind"]},
            "label": {"group": "outcomes", "expression": "delay > 15"},
            "training": {"window": "10d", "holdout": "3d", "rounds": 12, "threads": 1, "parameters": {"max_depth": 3}},
            "gate": {"metric": "roc_auc", "minimum": 0.6},
            **changes,
        }
    )


def _rows(ds: date) -> tuple[pa.Table, pa.Table]:
    """A day of flights and their outcomes: carrier ZZ is late, from day SHIFT on AA is; every tenth was cancelled."""
    random = np.random.default_rng(ds.toordinal())
    late = "ZZ" if ds < _day(SHIFT) else "AA"
    carrier, hour = random.choice(["AA", "UA", "ZZ"], A_DAY), random.integers(0, 24, A_DAY)
    delay = random.normal(8, 6, A_DAY) + 14 * (carrier == late) + 0.3 * hour
    noon = [f"{ds}T12:00:00+00:00"] * A_DAY
    common = {"carrier": carrier.tolist(), "flight": pa.array(range(A_DAY), pa.int32())}
    times = {"event_time": noon, "available_at": noon, "known_from": [ds] * A_DAY, "ds": [ds] * A_DAY}

    def table(values: dict[str, Any]) -> pa.Table:
        made = pa.table({**common, **values, **times})
        for name in ("event_time", "available_at"):
            index = made.schema.get_field_index(name)
            made = made.set_column(index, name, made.column(name).cast(pa.timestamp("us", tz="UTC")))
        return made

    features = table({"hour": pa.array(hour, pa.int32()), "wind": random.normal(size=A_DAY)})
    return features, table({"delay": pa.array(delay, mask=np.arange(A_DAY) % 10 == 0)})


def _publish(platform: Platform, group: FeatureGroup, rows: pa.Table, days: list[date]) -> None:
    platform.lake.create(group.table, {**group.publishes, **PUBLISHED})
    snapshot = platform.lake.replace(group.table, rows, days)
    platform.ledger.publications.record(
        Publication(group.table, ds, A_DAY, "meaning", "a run", snapshot_id=snapshot) for ds in days
    )


def platform_of(state: str, mlflow_url: str) -> Platform:
    """Called by subprocesses too."""
    settings = Settings(state=Path(state), mlflow_url=mlflow_url, sample_rows=300)
    return Platform(settings, Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {}))


@pytest.fixture
def platform(settings: Settings, mlflow_server: Settings) -> Platform:
    made = platform_of(str(settings.state), mlflow_server.mlflow_url)
    days = [_day(number) for number in range(1, DAYS + 1)]
    features, outcomes = zip(*(_rows(ds) for ds in days), strict=True)
    _publish(made, FLIGHTS, pa.concat_tables(features), days)
    _publish(made, OUTCOMES, pa.concat_tables(outcomes), days)
    return made


@pytest.fixture
def model() -> Model:
    return _model(f"late_{uuid.uuid4().hex[:8]}")


def test_a_version_is_trained_on_the_labelled_days_before_its_date_and_becomes_challenger(
    platform: Platform, model: Model
) -> None:
    rounds: list[tuple[int, int]] = []
    trained = train(platform, model, _day(16), "run-1", lambda number, of, _: rounds.append((number, of)))
    version = platform.registry.version(model.name, trained.version)
    assert (version.window, version.holdout) == (Interval(_day(2), _day(11)), Interval(_day(12), _day(14)))
    assert platform.registry.aliased(model.name, CHALLENGER) == version
    assert trained.metrics["roc_auc"] > 0.75
    assert trained.metrics == version.metrics
    assert rounds == [(number, 12) for number in range(1, 13)]
    assert not trained.reused


def test_the_run_says_what_it_was_made_of(platform: Platform, model: Model) -> None:
    trained = train(platform, model, _day(16), "run-1", airflow_run_url="http://airflow/run")
    run = MlflowClient(platform.settings.mlflow_url).get_run(trained.mlflow_run)
    tags = run.data.tags
    assert tags["mlops.run_id"] == "run-1"
    assert tags["mlops.airflow_run_url"] == "http://airflow/run"
    assert tags["mlops.features_snapshot"] == str(platform.lake.snapshot_of(FLIGHTS.table, tags["mlops.data_tag"]))
    assert run.data.params["training.window"] == "10"
    assert run.data.params["training.parameters.max_depth"] == "3"
    assert run.data.metrics["training_rows"] == 10 * A_DAY * 0.9
    assert run.data.metrics["training_unlabelled_rows"] == 10 * A_DAY * 0.1
    contexts = {entry.tags[0].value for entry in run.inputs.dataset_inputs}
    assert contexts == {"training", "holdout"}


def test_the_reference_is_a_sample_of_the_training_rows_with_the_models_scores(
    platform: Platform, model: Model
) -> None:
    version = platform.registry.version(model.name, train(platform, model, _day(16), "run-1").version)
    reference = from_parquet(platform.registry.artifact(version, REFERENCE))
    assert reference.num_rows == 300
    assert all(ds in version.window for ds in reference.column("ds").to_pylist())
    predictor = load(platform.registry.model_file(version))
    np.testing.assert_array_equal(reference.column("score").to_numpy(), predictor.predict(reference))


def test_the_same_training_again_gives_the_version_that_exists(platform: Platform, model: Model) -> None:
    first, second = train(platform, model, _day(16), "run-1"), train(platform, model, _day(16), "run-2")
    assert second.reused
    assert (second.version, second.mlflow_run, second.sha256) == (first.version, first.mlflow_run, first.sha256)
    assert len(platform.registry.versions(model.name)) == 1


def test_days_published_later_do_not_make_it_another_training_but_a_day_that_it_read_does(
    platform: Platform, model: Model
) -> None:
    train(platform, model, _day(16), "run-1")
    for ds in (_day(45), _day(15)):
        _publish(platform, FLIGHTS, _rows(ds)[0], [ds])
    assert train(platform, model, _day(16), "run-2").reused
    _publish(platform, FLIGHTS, _rows(_day(5))[0], [_day(5)])
    again = train(platform, model, _day(16), "run-3")
    assert (again.version, again.reused) == (2, False)


def test_an_old_training_run_again_does_not_take_the_challengers_place(platform: Platform, model: Model) -> None:
    train(platform, model, _day(16), "run-1")
    newer = train(platform, model, _day(17), "run-2")
    train(platform, model, _day(16), "run-3")
    challenger = platform.registry.aliased(model.name, CHALLENGER)
    assert challenger is not None
    assert challenger.number == newer.version


KILLED = """
import importlib.util, os, signal, sys
where, state, mlflow_url, name, point = sys.argv[1:]
spec = importlib.util.spec_from_file_location("training", where)
training = importlib.util.module_from_spec(spec)
spec.loader.exec_module(training)
platform, die = training.platform_of(state, mlflow_url), lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if point != "boosting":
    setattr(platform.registry, point, die)
at_round_six = lambda number, *_: die() if number == 6 and point == "boosting" else None
training.train(platform, training._model(name), training._day(16), "killed", at_round_six)
"""


@pytest.mark.parametrize("point", ["boosting", "alias"])
def test_a_killed_training_run_again_leaves_one_version_with_the_same_file(
    platform: Platform, model: Model, point: str
) -> None:
    clean = train(platform, _model(f"{model.name}_clean"), _day(16), "clean")
    command = [
        sys.executable,
        "-c",
        KILLED,
        __file__,
        str(platform.settings.state),
        platform.settings.mlflow_url,
        model.name,
        point,
    ]
    died = subprocess.run(command, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    trained = train(platform, model, _day(16), "again")
    assert [version.number for version in platform.registry.versions(model.name)] == [1]
    assert trained.sha256 == clean.sha256
    assert platform.registry.aliased(model.name, CHALLENGER) == platform.registry.version(model.name, 1)
    client = MlflowClient(platform.settings.mlflow_url)
    experiment = client.get_experiment_by_name(model.name)
    assert experiment is not None
    statuses = sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))
    assert statuses == (["FINISHED", "KILLED"] if point == "boosting" else ["FINISHED"])


def test_a_training_that_fails_leaves_a_failed_run_and_no_version(platform: Platform, model: Model) -> None:
    broken = _model(model.name, training={"window": "10d", "holdout": "3d", "parameters": {"max_depth": "deep"}})
    with pytest.raises(TrainingFailed, match="max_depth"):
        train(platform, broken, _day(16), "run-1")
    client = MlflowClient(platform.settings.mlflow_url)
    experiment = client.get_experiment_by_name(model.name)
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert platform.registry.versions(model.name) == []


def test_unpublished_partitions_are_named(platform: Platform, model: Model) -> None:
    with pytest.raises(
        NotReady, match=rf"waits for features.flights_v1 of {_day(45)}, features.outcomes_v1 of {_day(45)}"
    ):
        train(platform, model, _day(47), "run-1")


def test_a_window_before_the_first_partition_is_refused_with_the_first_possible_date(
    platform: Platform, model: Model
) -> None:
    with pytest.raises(TrainingFailed, match=f"train as of {_day(15)} or later"):
        train(platform, model, _day(14), "run-1")
    assert train(platform, model, _day(15), "run-1").version == 1


def test_a_key_that_repeats_is_refused_with_an_example(platform: Platform, model: Model) -> None:
    rows = _rows(_day(5))[1]
    _publish(platform, OUTCOMES, pa.concat_tables([rows, rows.slice(3, 1)]), [_day(5)])
    with pytest.raises(
        TrainingFailed,
        match=r"one row for each ds, carrier, flight in features.outcomes_v1, found 1 repeated.*flight=3",
    ):
        train(platform, model, _day(16), "run-1")


def test_a_version_is_reproduced_from_its_record_after_its_data_was_restated(platform: Platform, model: Model) -> None:
    trained = train(platform, model, _day(16), "run-1")
    for group, rows in zip((FLIGHTS, OUTCOMES), _rows(_day(30)), strict=True):
        _publish(platform, group, rows.set_column(rows.num_columns - 1, "ds", pa.array([_day(5)] * A_DAY)), [_day(5)])
    assert reproduce(platform, model.name, 1).sha256 == trained.sha256


def test_a_version_that_cannot_be_reproduced_says_both_hashes_and_what_differs(
    platform: Platform, model: Model
) -> None:
    trained = train(platform, model, _day(16), "run-1")
    platform.registry.tag(platform.registry.version(model.name, 1), MODEL_SHA256, "f" * 64)
    with pytest.raises(NotReproducible, match=f"{'f' * 64}, found {trained.sha256}.*the training rows are the same"):
        reproduce(platform, model.name, 1)


def test_a_version_whose_tag_was_dropped_is_not_reproducible(platform: Platform, model: Model) -> None:
    train(platform, model, _day(16), "run-1")
    tag = platform.registry.version(model.name, 1).tag("mlops.data_tag")
    platform.lake.table(OUTCOMES.table).manage_snapshots().remove_tag(tag).commit()
    with pytest.raises(NotReproducible, match=r"training data is gone: expected the tag"):
        reproduce(platform, model.name, 1)


def _train_and_release(platform: Platform, model: Model, as_of: date) -> Any:
    trained = train(platform, model, as_of, "run")
    return release(platform, model, trained.version, as_of, "airflow", "run")


def test_the_first_version_goes_live_on_its_bound_alone(platform: Platform, model: Model) -> None:
    released = _train_and_release(platform, model, _day(16))
    assert (released.outcome, released.first_ds, released.champion) == ("promoted", _day(17), None)
    assert "no champion to beat" in released.reason
    assert platform.ledger.releases.live(model.name, _day(16)) is None
    assert platform.ledger.releases.live(model.name, _day(17)) == 1
    assert _aliases(platform, model) == {CHAMPION: 1, CHALLENGER: None, PREVIOUS: None}


def test_a_version_below_its_bound_is_rejected_and_nothing_is_live(platform: Platform, model: Model) -> None:
    strict = _model(model.name, gate={"metric": "roc_auc", "minimum": 0.99})
    released = _train_and_release(platform, strict, _day(16))
    assert (released.outcome, released.first_ds) == ("rejected", None)
    assert "expected roc_auc of at least 0.99" in released.reason
    assert platform.ledger.releases.intervals(model.name) == []
    assert _aliases(platform, model)[CHALLENGER] == 1
    assert platform.registry.version(model.name, 1).tag("mlops.decision").startswith("rejected: expected")


def test_a_challenger_that_is_not_surely_better_is_rejected_and_the_champion_stays(
    platform: Platform, model: Model
) -> None:
    _train_and_release(platform, model, _day(16))
    released = _train_and_release(platform, model, _day(17))
    assert released.outcome == "rejected"
    assert released.comparison is not None
    assert released.comparison.seen == 0
    assert released.comparison.rows == 3 * A_DAY * 0.9
    assert _aliases(platform, model) == {CHAMPION: 1, CHALLENGER: 2, PREVIOUS: None}


def test_after_a_shift_the_better_challenger_takes_over_after_the_last_scored_day(
    platform: Platform, model: Model
) -> None:
    _train_and_release(platform, model, _day(16))
    scored = Publication(model.predictions, _day(43), A_DAY, "meaning", "run", version=1)
    platform.ledger.publications.record([scored])
    released = _train_and_release(platform, model, _day(41))
    assert (released.outcome, released.first_ds, released.champion) == ("promoted", _day(44), 1)
    assert released.comparison is not None
    assert released.comparison.low > 0.1
    assert [platform.ledger.releases.live(model.name, _day(n)) for n in (17, 43, 44)] == [1, 1, 2]
    assert _aliases(platform, model) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}
    evidence = platform.ledger.releases.decisions(model.name)[-1].evidence
    assert evidence["comparison"]["champion"] == 1
    assert json.dumps(evidence)


def test_holdout_rows_that_the_champion_was_trained_on_are_counted(platform: Platform, model: Model) -> None:
    _train_and_release(platform, model, _day(17))
    other = _model(model.name, training={"window": "4d", "holdout": "5d", "rounds": 5, "threads": 1})
    released = _train_and_release(platform, other, _day(17))
    assert released.comparison is not None
    assert released.comparison.seen == 2 * A_DAY * 0.9  # days 11 and 12 of the holdout 11..15


def test_releasing_again_returns_the_decision_and_restores_the_aliases(platform: Platform, model: Model) -> None:
    first = _train_and_release(platform, model, _day(16))
    platform.registry.unalias(model.name, CHAMPION)
    again = release(platform, model, 1, _day(16), "somebody else", "another run")
    assert again == first
    assert len(platform.ledger.releases.decisions(model.name)) == 1
    assert _aliases(platform, model)[CHAMPION] == 1


def test_a_release_killed_between_going_live_and_its_record_is_decided_the_same(
    platform: Platform, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train_and_release(platform, model, _day(16))
    trained = train(platform, model, _day(41), "run")
    _interrupt(monkeypatch, platform.ledger.releases, "decide")
    with pytest.raises(KeyboardInterrupt):
        release(platform, model, trained.version, _day(41), "airflow", "run")
    monkeypatch.undo()
    platform.ledger.publications.record([Publication(model.predictions, _day(43), A_DAY, "meaning", "run", version=2)])
    released = release(platform, model, trained.version, _day(41), "airflow", "run")
    assert (released.outcome, released.first_ds, released.champion) == ("promoted", _day(42), 1)
    assert len(platform.ledger.releases.intervals(model.name)) == 2


def test_a_challenger_with_older_data_than_the_champion_is_rejected(platform: Platform, model: Model) -> None:
    _train_and_release(platform, model, _day(41))
    released = _train_and_release(platform, model, _day(16))
    assert released.outcome == "rejected"
    assert "history is not rewritten" in released.reason
    assert _aliases(platform, model)[CHAMPION] == 1


def test_a_challenger_on_a_new_feature_version_is_compared_on_the_champions_own_features(
    platform: Platform, model: Model
) -> None:
    _train_and_release(platform, model, _day(16))
    days = [_day(number) for number in range(1, DAYS + 1)]
    newer = FLIGHTS.model_copy(update={"version": 2})
    rows = pa.concat_tables([_rows(ds)[0] for ds in days])
    _publish(platform, newer, rows.set_column(3, "wind", pa.array(np.zeros(rows.num_rows))), days)
    on_newer = _model(model.name, features={"group": "flights", "columns": ["hour", "carrier"], "version": 2})
    released = _train_and_release(platform, on_newer, _day(41))
    assert released.outcome == "promoted"
    assert released.comparison is not None
    assert released.comparison.rows == 3 * A_DAY * 0.9
    days = list(platform.registry.version(model.name, 2).holdout)
    champion = load(platform.registry.model_file(platform.registry.version(model.name, 1)))
    features, outcomes = (pa.concat_tables(parts) for parts in zip(*(_rows(ds) for ds in days), strict=True))
    delay = outcomes.column("delay").to_numpy(zero_copy_only=False)
    known = ~np.isnan(delay)
    expected = roc_auc_score(delay[known] > 15, champion.predict(features)[known])
    assert released.comparison.value == pytest.approx(expected)


def _interrupt(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    stop: Callable[..., None] = interrupted
    monkeypatch.setattr(where, name, stop)


def _aliases(platform: Platform, model: Model) -> dict[str, int | None]:
    found = {alias: platform.registry.aliased(model.name, alias) for alias in (CHAMPION, CHALLENGER, PREVIOUS)}
    return {alias: version.number if version else None for alias, version in found.items()}

"""SIGKILL at named points of each step, then the same step again: what a clean run leaves, and nobody saw a half."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import pytest
from mlflow import MlflowClient

from include.mlops.registry.version import CHAMPION
from include.mlops.steps.monitoring.performance import measure
from include.mlops.steps.release import release
from include.mlops.steps.scoring.export import export
from include.mlops.steps.training.train import train
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome, steps
from tests.integration.faults.dying import Point, killed
from tests.integration.faults.steps import Airline
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import V1_AS_OF, World, day, days, flights

pytestmark = pytest.mark.slow

LAKE, DRAFT, LEDGER = "include.mlops.lake.lake:Lake", "include.mlops.lake.drafts", "include.mlops.ledger"
RECORD = f"{LEDGER}.publications:Publications.record"
METRICS, VERDICT = f"{LEDGER}.monitoring:Monitoring.record", f"{LEDGER}.monitoring:Monitoring.judge"
REGISTRY, RUN = "include.mlops.registry.registry:Registry", "include.mlops.registry.run:Run"

SCORING = [
    Point(f"{LAKE}.create"),
    Point(f"{LAKE}.create", after=True),
    Point(f"{DRAFT}:Draft.write", call=2),
    Point(f"{DRAFT}:Draft.write", call=3, after=True),
    Point(f"{DRAFT}:_replace"),
    Point(f"{DRAFT}:_replace", after=True),
    Point(RECORD),
    Point(RECORD, after=True),
    Point(METRICS, call=2),
]


@pytest.fixture(scope="module")
def cleanly_scored(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Any:
    world = _fresh(home, tmp_path_factory)
    world.score(16, 18)
    return outcome.scores(world, 16, 18)


def _fresh(home: Home, folders: pytest.TempPathFactory) -> World:
    world = World.of(folders.mktemp("clean"), home.mlflow_url, home.model)
    every = list(days(1, 30))
    world.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    world.live(1, 16)
    return world


@pytest.mark.parametrize("point", exhaustive(SCORING, 2, 5, 6), ids=str)
def test_a_scoring_that_is_killed_and_run_again(airline: Airline, cleanly_scored: Any, point: Point) -> None:
    killed(point, steps.score_days, airline, 16, 18, "killed")
    world = airline.open()
    if world.platform.lake.exists(world.model.predictions):
        assert world.predictions(16, 18).num_rows in (0, len(cleanly_scored[0])), "a reader saw a part of the days"
    world.score(16, 18)
    assert outcome.scores(world, 16, 18) == cleanly_scored


@pytest.mark.parametrize("point", exhaustive([Point(f"{DRAFT}:_replace", after=True), Point(RECORD)], 0), ids=str)
def test_a_scoring_of_scored_days_by_another_version_that_is_killed_and_run_again(
    airline: Airline, another_world: Callable[[], World], point: Point
) -> None:
    """Readers see the old scores or the new, never both; and the record catches up."""
    world, clean = airline.open(), another_world()
    for one in (world, clean):
        one.score(16, 18, "old")
    killed(point, steps.score_days, airline, 16, 18, "killed", {"version": 2})
    assert set(world.predictions(16, 18)["model_version"].to_pylist()) == {2}
    for one in (world, clean):
        one.score(16, 18, version=2)
    assert outcome.scores(world, 16, 18) == outcome.scores(clean, 16, 18)


@pytest.mark.parametrize("point", exhaustive([Point(RECORD, call=2), Point(f"{DRAFT}:_replace", call=2)], 0), ids=str)
def test_a_backfill_of_scores_that_is_killed_and_run_again(
    airline: Airline, another_world: Callable[[], World], point: Point
) -> None:
    """In its second job of two days: the first stays done."""
    killed(point, steps.backfill_scores, airline, 16, 19, "stopped")
    world, clean = airline.open(), another_world()
    assert sorted(world.platform.ledger.publications.over(world.model.predictions, days(16, 19))) == [day(16), day(17)]
    steps.backfill_scores(airline, 16, 19, "again")
    clean.score(16, 19)
    assert outcome.scores(world, 16, 19) == outcome.scores(clean, 16, 19)
    first = world.platform.ledger.publications.over(world.model.predictions, days(16, 17))
    assert {one.run_id for one in first.values()} == {"stopped"}, "what was done is not done again"


@pytest.fixture(scope="module")
def trained(home: Home) -> Callable[[str], Airline]:
    """Trainings on the lake that all of them share, each of a model of its own."""

    def make(name: str = "") -> Airline:
        return Airline(home.world.platform.settings, name or f"late_{uuid.uuid4().hex[:8]}")

    return make


TRAINING = [
    Point(f"{LAKE}.tag"),
    Point(f"{REGISTRY}.begin"),
    Point(f"{REGISTRY}.begin", after=True),
    Point(f"{RUN}.log_round", call=6),
    Point(f"{RUN}.log_files"),
    Point(f"{RUN}.register"),
    Point("mlflow.tracking.client:MlflowClient.create_model_version"),
    Point("mlflow.tracking.client:MlflowClient.create_model_version", after=True),
    Point(f"{REGISTRY}.alias"),
]


@pytest.mark.parametrize("point", exhaustive(TRAINING, 2, 5, 7), ids=str)
def test_a_training_that_is_killed_and_run_again(home: Home, trained: Callable[..., Airline], point: Point) -> None:
    """The bytes of a clean training, one version, and no run that looks alive."""
    killed(point, steps.train_as_of, airline := trained(), V1_AS_OF)
    world = airline.open()
    found = train(world.platform, world.model, day(V1_AS_OF), "again")
    registry = world.platform.registry
    assert found.sha256 == home.world.platform.registry.version(home.model, 1).sha256
    assert [one.number for one in registry.versions(airline.name)] == [1]
    assert registry.aliased(airline.name, "challenger").number == 1
    client = MlflowClient(home.mlflow_url)
    experiment = client.get_experiment_by_name(airline.name)
    assert experiment is not None
    states = [run.info.status for run in client.search_runs([experiment.experiment_id])]
    assert states.count("FINISHED") == 1
    assert set(states) <= {"FINISHED", "KILLED"}


RELEASING = [
    Point(f"{LEDGER}.releases:Releases.promote"),
    Point(f"{LEDGER}.releases:Releases.promote", after=True),
    Point(f"{LEDGER}.releases:Releases.decide", after=True),
    Point(f"{REGISTRY}.tag", after=True),
    Point(f"{REGISTRY}.unalias"),
]


@pytest.fixture(scope="module")
def cleanly_released(home: Home) -> Any:
    return _released(_with_a_challenger(home))


def _with_a_challenger(home: Home) -> Airline:
    """A version of a model of its own, on the lake that all of them share."""
    airline = Airline(home.world.platform.settings, f"late_{uuid.uuid4().hex[:8]}")
    world = airline.open()
    train(world.platform, world.model, day(V1_AS_OF), "training")
    return airline


def _released(airline: Airline) -> Any:
    world = airline.open()
    found = release(world.platform, world.model, 1, day(V1_AS_OF), "test", "run")
    releases, registry = world.platform.ledger.releases, world.platform.registry
    (decision,) = releases.decisions(airline.name)
    aliases = {name: one.number for name in (CHAMPION, "challenger") if (one := registry.aliased(airline.name, name))}
    intervals = [(one.version, one.first_ds, one.last_ds) for one in releases.intervals(airline.name)]
    evidence = {**decision.evidence, "run_id": "", "mlflow_run": ""}
    told = replace(found, model="", version_url="")
    return told, aliases, intervals, {**asdict(decision), "model": "", "evidence": evidence}


@pytest.mark.parametrize("point", exhaustive(RELEASING, 1, 4), ids=str)
def test_a_release_that_is_killed_and_run_again(home: Home, cleanly_released: Any, point: Point) -> None:
    """One decision, one live interval, the champion's alias."""
    airline = _with_a_challenger(home)
    killed(point, steps.release_version, airline, 1, V1_AS_OF)
    assert _released(airline) == cleanly_released


@pytest.mark.parametrize(
    "point", exhaustive([Point(METRICS, after=True), Point(VERDICT), Point(VERDICT, after=True)], 1), ids=str
)
def test_a_night_of_monitoring_that_is_killed_and_run_again(
    airline: Airline, another_world: Callable[[], World], point: Point
) -> None:
    world, clean = airline.open(), another_world()
    for one in (world, clean):
        one.score(16)
    killed(point, steps.monitor_day, airline, 16)
    for one in (world, clean):
        one.monitor(16)
    assert outcome.metrics(world, "drift", 16, 16) == outcome.metrics(clean, "drift", 16, 16)


@pytest.mark.parametrize(
    "point", exhaustive([Point(METRICS, call=2), Point(VERDICT, call=2, after=True), Point(RECORD)], 2), ids=str
)
def test_a_measuring_that_is_killed_and_run_again(
    airline: Airline, another_world: Callable[[], World], point: Point
) -> None:
    world, clean = airline.open(), another_world()
    for one in (world, clean):
        one.publish_outcomes(16, 17)
        one.score(16, 17)
    killed(point, steps.measure_days, airline, 16, 17)
    for one in (world, clean):
        measure(one.platform, one.model, days(16, 17), "run")
    assert outcome.metrics(world, "performance", 16, 17) == outcome.metrics(clean, "performance", 16, 17)


EXPORTS = [{"csv": {"path": "drop/{ds}.csv"}}]
EXPORTING = [
    Point("include.mlops.stored_files:Path.replace"),
    Point("include.mlops.stored_files:Path.replace", call=2, after=True),
    Point(f"{LEDGER}.exports:Exports.record"),
]


@pytest.mark.parametrize("point", exhaustive(EXPORTING, 0), ids=str)
def test_an_export_that_is_killed_and_run_again(airline: Airline, point: Point) -> None:
    """Readers of the folder see whole files or none, and a clean export gives the same bytes."""
    airline = replace(airline, changes={"exports": EXPORTS})
    world = airline.open()
    world.score(16, 17)
    folder = world.platform.settings.state / "exports" / "drop"
    killed(point, steps.export_days, airline, 16, 17)
    left = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    export(world.platform, world.model, days(16, 17), "again")
    again = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    assert left.items() <= again.items(), "a part of a file was seen"
    export(world.platform, world.model, days(16, 17), "clean", force=True)
    assert {path.name: path.read_bytes() for path in folder.glob("[!.]*")} == again
    assert sorted(again) == [f"{day(16)}.csv", f"{day(17)}.csv"]

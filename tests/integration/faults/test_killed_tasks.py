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
from tests.integration.faults import outcome, steps
from tests.integration.faults.dying import Point, killed
from tests.integration.faults.steps import Airline
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import V1_AS_OF, World, day, days, late_flights

pytestmark = pytest.mark.slow

LAKE, DRAFT, LEDGER = "include.mlops.lake.lake:Lake", "include.mlops.lake.drafts", "include.mlops.ledger"
RECORD = f"{LEDGER}.publications:Publications.record"
METRICS, VERDICT = f"{LEDGER}.monitoring:Monitoring.record", f"{LEDGER}.monitoring:Monitoring.judge"
REGISTRY, RUN = "include.mlops.registry.registry:Registry", "include.mlops.registry.run:Run"
SEEN_HALF = (None, 3)  # nothing, or all three days

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
    from tests.integration.scoring.world import flights

    world = World.of(folders.mktemp("clean"), home.mlflow_url, home.model)
    every = list(days(1, 30))
    world.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    world.live(1, 16)
    return world


@pytest.mark.parametrize("point", SCORING, ids=str)
def test_a_scoring_that_is_killed_and_run_again(airline: Airline, cleanly_scored: Any, point: Point) -> None:
    killed(point, steps.score_days, airline, 16, 18, "killed")
    world = airline.open()
    if world.platform.lake.exists(world.model.predictions):
        assert world.predictions(16, 18).num_rows in (0, len(cleanly_scored[0])), "a reader saw a part of the days"
    world.score(16, 18)
    assert outcome.scores(world, 16, 18) == cleanly_scored

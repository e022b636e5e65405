"""The steps of both small worlds, as a process of its own runs them: with rooms of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import include.mlops.compute.session
import include.mlops.learner.plots
import include.mlops.registry.registry
import include.mlops.steps.scoring.score_on_spark  # noqa: F401 - loaded once, before processes are forked
from include.mlops.policy.backfill import Order
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.spec.load import Specs
from include.mlops.steps.history.backfill import carry_out
from include.mlops.steps.history.backfill_plan import plan
from include.mlops.steps.ingestion.publish import ingest_interval
from include.mlops.steps.monitoring.monitor import monitor
from include.mlops.steps.monitoring.performance import measure
from include.mlops.steps.platform import Platform
from include.mlops.steps.release import release
from include.mlops.steps.scoring.export import export
from include.mlops.steps.training.train import train
from tests.integration.scoring.world import FLIGHTS, OUTCOMES, World, day, days, late_flights


@dataclass(frozen=True)
class Airline:
    """Opens a `World` in another process: its settings, and the changes of its model."""

    settings: Settings
    name: str
    changes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World, **changes: Any) -> Airline:
        return cls(world.platform.settings, world.model.name, changes)

    def open(self) -> World:
        model = late_flights(self.name, **self.changes)
        specs = Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {self.name: model})
        return World(Platform(self.settings, specs), model)


def score_days(airline: Airline, first: int, last: int, run_id: str, options: dict[str, Any] | None = None) -> None:
    airline.open().score(first, last, run_id, **(options or {}))


def train_as_of(airline: Airline, number: int) -> None:
    world = airline.open()
    train(world.platform, world.model, day(number), "killed")


def release_version(airline: Airline, version: int, number: int) -> None:
    world = airline.open()
    release(world.platform, world.model, version, day(number), "test", "killed")


def monitor_day(airline: Airline, number: int) -> None:
    world = airline.open()
    monitor(world.platform, world.model, day(number), "killed")


def measure_days(airline: Airline, first: int, last: int) -> None:
    world = airline.open()
    measure(world.platform, world.model, days(first, last), "killed")


def export_days(airline: Airline, first: int, last: int) -> None:
    world = airline.open()
    export(world.platform, world.model, days(first, last), "killed")


def backfill_scores(airline: Airline, first: int, last: int, run_id: str) -> None:
    world = airline.open()
    order = Order(world.model.name, day(first), day(last), days_per_job=2)
    carry_out(world.platform, plan(world.platform, order, run_id), run_id)


def ingest_days(settings: Settings, name: str, first: date, last: date, run_id: str) -> None:
    platform = Platform(settings)
    ingest_interval(platform, platform.specs.group(name), Interval(first, last), run_id)


def backfill_group(settings: Settings, name: str, first: date, last: date, run_id: str) -> None:
    platform = Platform(settings)
    carry_out(platform, plan(platform, Order(name, first, last, days_per_job=2), run_id), run_id)

"""What a run left: every published row and every record, but for who wrote it, when, and the numbers of commits."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, fields, replace
from typing import Any

from include.mlops.ledger.publications import Publication
from include.mlops.spec.interval import Interval
from tests.integration.ingest.bundle import READINGS, Bundle, readings
from tests.integration.ingest.bundle import day as march
from tests.integration.scoring.world import World, days

EACH_TIME = ["run_id", "scored_at"]


def scores(world: World, first: int, last: int) -> Any:
    """Predictions and their record; what is published must be what the record says."""
    rows = world.predictions(first, last).drop_columns(EACH_TIME)
    records = world.platform.ledger.publications.over(world.model.predictions, days(first, last))
    assert {ds: one.rows for ds, one in records.items()} == {ds: rows["ds"].to_pylist().count(ds) for ds in records}, (
        "the record counts other rows than readers see"
    )
    return rows.to_pylist(), [told(one) for _, one in sorted(records.items())]


def metrics(world: World, kind: str, first: int, last: int) -> Any:
    """Metrics, verdicts and what they were measured on."""
    ledger, model = world.platform.ledger, world.model
    dataset = {"drift": model.drift, "performance": model.performance}[kind]
    measured = ledger.publications.over(dataset, days(first, last))
    verdicts = [asdict(one) | {"run_id": ""} for one in ledger.monitoring.verdicts(model.name, kind)]
    return ledger.monitoring.metrics(model.name, kind), verdicts, [told(one) for _, one in sorted(measured.items())]


def told(one: Publication) -> dict[str, Any]:
    inputs = {name: {**what, "snapshot_id": 0, "modified": 0} for name, what in one.inputs.items()}
    plain = replace(one, run_id="", snapshot_id=0, inputs=inputs)
    return {field.name: getattr(plain, field.name) for field in fields(plain)}


def landed(bundle: Bundle, numbers: Collection[int], transform: str = READINGS) -> Bundle:
    """With a file of readings for each day of March."""
    bundle.write_readings(transform)
    for number in numbers:
        bundle.land(bundle.readings, march(number), readings(march(number)))
    return bundle


def clean_days(bundle: Bundle, numbers: Collection[int], transform: str = READINGS) -> dict[int, Any]:
    """What each day is where nothing happens to the run that makes it."""
    landed(bundle, numbers, transform)
    for number in numbers:
        bundle.run(bundle.readings, march(number))
    return {number: features(bundle, number, number) for number in numbers}


def features(bundle: Bundle, first: int, last: int) -> Any:
    """Rows, quarantine and record of the readings, apart from the bundle's own names."""
    name = bundle.readings
    interval = Interval(march(first), march(last))
    records = [
        told(one) | {"meaning": ""} for _, one in sorted(bundle.published(name, interval.first, interval.last).items())
    ]
    aside = [(row["reason"], row["record"]) for row in bundle.quarantine(name, interval.first, interval.last)]
    found = json.dumps([bundle.rows(name, interval.first, interval.last), aside, records], default=str)
    return json.loads(found.replace(bundle.mark, ""))

"""SIGKILL at named points of ingest, validate and publish, then the chain again: what a clean run leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from include.mlops.errors import PartitionsFailed
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome, steps
from tests.integration.faults.dying import Point, killed
from tests.integration.ingest.bundle import Bundle, change, day, readings

pytestmark = pytest.mark.slow

INGEST, STAGING = "include.mlops.steps.ingestion.ingest", "include.mlops.lake.staging"
PUBLICATIONS = "include.mlops.ledger.publications:Publications"
POINTS = [
    Point(f"{INGEST}:arrive"),
    Point("include.mlops.steps.ingestion.arrival:set_aside", after=True),
    Point(f"{INGEST}:stage"),
    Point(f"{INGEST}:stage", after=True),
    Point(f"{PUBLICATIONS}.record_validations"),
    Point("include.mlops.steps.ingestion.validate:write_report"),
    Point(f"{STAGING}:_picked"),
    Point(f"{STAGING}:_picked", after=True),
    Point(f"{PUBLICATIONS}.declare", after=True),
    Point(f"{PUBLICATIONS}.record", after=True),
]


def _landed(bundle: Bundle) -> Bundle:
    bundle.write_readings()
    for number in (4, 5):
        rows = [*change(readings(day(number)), 2, value=77.0), {**readings(day(number))[0], "sensor": ""}]
        bundle.land(bundle.readings, day(number), rows)
    return bundle


@pytest.fixture(scope="module")
def clean(new_bundle: Callable[[], Bundle]) -> Any:
    bundle = _landed(new_bundle())
    bundle.run(bundle.readings, day(4), day(5))
    return outcome.features(bundle, 4, 5)


@pytest.mark.parametrize("point", exhaustive(POINTS, 1, 3, 7), ids=str)
def test_an_ingestion_that_is_killed_and_run_again(new_bundle: Callable[[], Bundle], clean: Any, point: Point) -> None:
    bundle = _landed(new_bundle())
    killed(point, steps.ingest_days, bundle.settings, bundle.readings, day(4), day(5), "killed")
    bundle.run(bundle.readings, day(4), day(5))
    assert outcome.features(bundle, 4, 5) == clean


@pytest.mark.parametrize(
    "point", exhaustive([Point(f"{STAGING}:_copy"), Point(f"{STAGING}:_copy", after=True)], 1), ids=str
)
def test_a_publication_that_copies_is_killed_and_run_again(
    new_bundle: Callable[[], Bundle], clean: Any, point: Point
) -> None:
    """One of two days fails its expectations, so the other is copied; readers see the old days until then."""
    bundle = _landed(new_bundle())
    bundle.run(bundle.readings, day(4), day(5), "old")
    bundle.write_readings(
        expectations="- expect_column_values_to_be_between: {column: value, max_value: 80}\n  severity: critical"
    )
    bundle.land(bundle.readings, day(5), change(readings(day(5)), 2, value=99.0))
    killed(point, steps.ingest_days, bundle.settings, bundle.readings, day(4), day(5), "killed")
    assert outcome.features(bundle, 4, 5)[0] == clean[0]
    with pytest.raises(PartitionsFailed, match="ValidationFailed"):
        bundle.run(bundle.readings, day(4), day(5))
    assert outcome.features(bundle, 4, 5)[0] == clean[0], "the refused day stays as it was"
    assert outcome.features(bundle, 4, 4)[2] == clean[2][:1]


def test_a_backfill_of_features_that_is_killed_and_run_again(new_bundle: Callable[[], Bundle]) -> None:
    """In its second job, between its commit and the record of that."""
    bundle, clean = _landed(new_bundle()), _landed(new_bundle())
    for one in (bundle, clean):
        for number in (6, 7):
            one.land(one.readings, day(number), readings(day(number)))
    point = Point("include.mlops.steps.ingestion.publish:_record", call=2)
    killed(point, steps.backfill_group, bundle.settings, bundle.readings, day(4), day(7), "stopped")
    assert sorted(bundle.published(bundle.readings, day(4), day(7))) == [day(4), day(5)]
    steps.backfill_group(bundle.settings, bundle.readings, day(4), day(7), "again")
    clean.run(clean.readings, day(4), day(7))
    assert outcome.features(bundle, 4, 7) == outcome.features(clean, 4, 7)

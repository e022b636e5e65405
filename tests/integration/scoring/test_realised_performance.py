"""Predictions against what happened, over a real lake, a real ledger and a real MLflow server."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from include.mlops.errors import MlopsError, NotReady
from include.mlops.spec.load import Specs
from include.mlops.steps.platform import Platform
from tests.integration.scoring.world import (
    A_DAY,
    FLIGHTS,
    OUTCOMES,
    OUTCOMES_BY_LONG,
    World,
    day,
    delays,
    late_flights,
    outcomes,
)

pytestmark = pytest.mark.slow


def _reversed(world: World, *numbers: int) -> None:
    """What the model takes for late is on time, and the other way round."""
    for number in numbers:
        turned = pa.array(30 - delays(day(number)), from_pandas=True)
        world.publish(outcomes(day(number), delay=turned), [day(number)], OUTCOMES)


def test_metrics_are_those_of_the_flights_that_have_a_label(world: World) -> None:
    world.score(16)
    world.publish_outcomes(16)
    (found,) = world.measure(16, run_id="night")
    scores = np.array(world.predictions(16).sort_by("flight")["score"].to_pylist())
    known = ~np.isnan(delays(day(16)))
    assert found.metrics["roc_auc"] == pytest.approx(roc_auc_score(delays(day(16))[known] > 15, scores[known]))
    assert found.coverage == 0.9
    assert found.verdict is not None
    assert found.verdict.bad is False
    kept = world.platform.ledger.monitoring.metrics(world.model.name, "performance")[day(16)]
    assert kept == {**found.metrics, "coverage": 0.9, "labelled": A_DAY * 0.9}


def test_flights_without_an_outcome_lower_the_coverage(world: World) -> None:
    world.score(16)
    world.publish(outcomes(day(16)).slice(0, 30), [day(16)], OUTCOMES)
    (found,) = world.measure(16)
    assert found.coverage == pytest.approx(27 / A_DAY)


@pytest.mark.parametrize("rows", [0, A_DAY])
def test_a_day_without_any_label_has_no_metrics_and_no_verdict(world: World, rows: int) -> None:
    world.score(16)
    nothing = pa.array([None] * A_DAY, pa.float64())
    world.publish(outcomes(day(16), delay=nothing).slice(0, rows), [day(16)], OUTCOMES)
    (found,) = world.measure(16)
    assert (found.metrics, found.coverage, found.verdict) == ({}, 0.0, None)


def test_a_day_with_one_class_has_no_auc_and_no_verdict(world: World) -> None:
    world.score(16)
    world.publish(outcomes(day(16), delay=[0.0] * A_DAY), [day(16)], OUTCOMES)
    (found,) = world.measure(16)
    assert found.metrics["roc_auc"] is None
    assert found.metrics["log_loss"] is not None
    assert (found.coverage, found.verdict) == (1.0, None)


def test_a_fall_is_confirmed_on_the_second_night_and_told_at_the_newest_labels(world: World) -> None:
    world.score(16, 20)
    _reversed(world, 17)
    (first,) = world.measure(17)
    assert first.verdict is not None
    assert (first.verdict.bad, first.verdict.confirmed) == (True, False)
    assert world.told() == []
    _reversed(world, 18)
    (second,) = world.measure(18)
    assert second.verdict is not None
    assert (second.verdict.confirmed, second.verdict.since) == (True, day(17))
    assert world.told() == [("opened", "performance", day(18))]
    world.publish_outcomes(19, 20)
    world.measure(19, 20)
    assert world.told() == [("opened", "performance", day(18)), ("recovered", "performance", day(20))]


def test_behind_the_newest_labels_a_fall_is_recorded_and_told_to_nobody(world: World) -> None:
    world.score(17, 19)
    _reversed(world, 17, 18)
    world.publish_outcomes(19)
    found = world.measure(17, 18)
    assert found[1].verdict is not None
    assert found[1].verdict.confirmed
    assert world.told() == []


def test_days_that_were_not_scored_are_passed_over(world: World) -> None:
    world.score(16)
    world.score(18)
    world.publish_outcomes(16, 17, 18)
    assert [found.ds for found in world.measure(16, 18)] == [day(16), day(18)]
    assert world.measure(17) == []


def test_days_without_published_labels_are_named(world: World) -> None:
    world.score(16, 17)
    world.publish_outcomes(16)
    with pytest.raises(NotReady, match=f"waits for {OUTCOMES.table} of {day(17)}$"):
        world.measure(16, 17)


def test_measuring_again_replaces(world: World) -> None:
    world.score(16)
    _reversed(world, 16)
    world.measure(16, run_id="first")
    world.publish_outcomes(16)
    (found,) = world.measure(16, run_id="second")
    (verdict,) = world.platform.ledger.monitoring.verdicts(world.model.name, "performance")
    assert (verdict.run_id, verdict.bad) == ("second", False)
    kept = world.platform.ledger.monitoring.metrics(world.model.name, "performance")[day(16)]
    assert kept["roc_auc"] == found.metrics["roc_auc"]


def test_several_outcomes_of_one_flight_are_refused(world: World) -> None:
    world.score(16)
    rows = outcomes(day(16))
    world.publish(pa.concat_tables([rows, rows.slice(3, 1)]), [day(16)], OUTCOMES)
    with pytest.raises(MlopsError, match=rf"one row for each carrier, flight in {OUTCOMES.table} of {day(16)}"):
        world.measure(16)


def test_keys_of_another_width_are_joined(world: World) -> None:
    specs = Specs({"flights": FLIGHTS, "outcomes": OUTCOMES_BY_LONG}, {})
    wide = World(Platform(world.platform.settings, specs), world.model)
    wide.score(16)
    rows = outcomes(day(16))
    rows = rows.set_column(rows.schema.get_field_index("flight"), "flight", rows["flight"].cast(pa.int64()))
    wide.publish(rows, [day(16)], OUTCOMES_BY_LONG)
    assert wide.measure(16)[0].coverage == 0.9


def test_a_rising_loss_is_a_fall(world: World) -> None:
    gate = {"metric": "log_loss", "maximum": 0.6}
    by_loss = World(world.platform, late_flights(world.model.name, gate=gate))
    by_loss.score(17, 18)
    _reversed(by_loss, 17, 18)
    assert [found.verdict.bad for found in by_loss.measure(17, 18) if found.verdict] == [True, True]
    (message,) = by_loss.platform.ledger.incidents.list_outbox()
    assert "log_loss rose to" in message.title


def test_a_verdict_on_another_version_does_not_count(world: World) -> None:
    world.live(2, 18)
    world.score(17, 18)
    _reversed(world, 17, 18)
    found = world.measure(17, 18)
    assert found[1].verdict is not None
    assert (found[1].verdict.version, found[1].verdict.bad, found[1].verdict.confirmed) == (2, True, False)

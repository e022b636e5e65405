"""Monitoring of scored days by Evidently, over a real lake, a real ledger and a real MLflow server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include.mlops.errors import NotReady
from include.mlops.ledger.monitoring import Verdict
from tests.integration.scoring.world import A_DAY, COLUMNS, World, day, late_flights

pytestmark = pytest.mark.slow

RECODED = ["AMR", "UAL", "ZZZ"] * (A_DAY // 3)


def _scored(world: World, first: int, last: int, *, shifted: tuple[int, ...] = (), **changes: Any) -> None:
    for number in shifted:
        world.publish_flights(number, **(changes or {"carrier": RECODED}))
    world.score(first, last)


def _verdicts(world: World) -> dict[int, Verdict]:
    found = world.platform.ledger.monitoring.verdicts(world.model.name, "drift")
    return {(verdict.ds - day(0)).days: verdict for verdict in found}


def test_an_ordinary_night_is_not_bad_and_its_report_shows_every_column(world: World) -> None:
    _scored(world, 16, 16)
    found = world.monitor(16, "night")
    assert (found.verdict.bad, found.verdict.confirmed) == (False, False)
    assert not {"carrier", "hour", "score"} & set(found.verdict.detail["drifted"])
    assert set(found.distances) == {*COLUMNS, "score"}
    assert (found.verdict.detail["rows"], found.verdict.detail["reference"]) == (A_DAY, 300)
    assert found.verdict.report == f"drift/{world.model.name}/{day(16)}.html"
    html = (world.platform.settings.reports / found.verdict.report).read_text(encoding="utf-8")
    assert all(column in html for column in [*COLUMNS, "score"])
    kept = world.platform.ledger.monitoring.metrics(world.model.name, "drift")[day(16)]
    assert kept == pytest.approx({**found.distances, "weight": found.verdict.detail["weight"]})
    assert world.told() == []


def test_a_shift_of_an_important_column_is_seen_then_confirmed_and_told_once_a_partition(world: World) -> None:
    _scored(world, 16, 17, shifted=(17,))
    world.monitor(16)
    seen = world.monitor(17).verdict
    assert (seen.bad, seen.confirmed, seen.since) == (True, False, day(17))
    assert "carrier" in seen.detail["drifted"]
    assert world.told() == [], "one bad night wakes nobody"
    _scored(world, 18, 18, shifted=(18,))
    confirmed = world.monitor(18).verdict
    assert (confirmed.bad, confirmed.confirmed, confirmed.since) == (True, True, day(17))
    world.monitor(18, "again")
    assert world.told() == [("opened", "drift", day(18))]
    incident = world.platform.ledger.incidents.open("drift", world.model.name)
    assert incident is not None
    assert (incident.first_ds, incident.last_ds) == (day(17), day(18))
    assert "carrier" in incident.title
    _scored(world, 19, 19, shifted=(19,))
    world.monitor(19)
    assert world.told() == [("opened", "drift", day(18)), ("repeated", "drift", day(19))]


def test_the_message_says_how_far_and_never_more_than_the_whole_weight(world: World) -> None:
    _scored(world, 17, 18, shifted=(17, 18))
    world.monitor(17)
    world.monitor(18)
    (message,) = world.platform.ledger.incidents.list_outbox()
    share = int(message.summary.partition("%")[0].rpartition(" ")[2])
    assert 10 <= share <= 100
    assert message.numbers["carrier"].startswith("distance 0.83, usually up to 0.")
    assert message.links["Drift report"].endswith(f"/mlops/reports/drift/{world.model.name}/{day(18)}.html")
    assert message.since == day(17)


def test_behind_the_frontier_a_shift_is_recorded_and_told_to_nobody(world: World) -> None:
    _scored(world, 16, 19, shifted=(17, 18))
    for number in (16, 17, 18):
        world.monitor(number, "backfill")
    assert _verdicts(world)[18].confirmed
    assert world.told() == []


def test_a_good_night_behind_the_frontier_closes_nothing(world: World) -> None:
    _scored(world, 16, 18, shifted=(17, 18))
    for number in (17, 18, 16):
        world.monitor(number)
    assert world.platform.ledger.incidents.open("drift", world.model.name) is not None


def test_an_incident_closes_once_one_good_night_is_no_longer_an_exception(world: World) -> None:
    for number in (17, 18, 19, 20):
        _scored(world, number, number, shifted=(number,) if number < 19 else ())
        world.monitor(number)
        is_open = world.platform.ledger.incidents.open("drift", world.model.name) is not None
        assert is_open == (number in (18, 19))
    assert world.told() == [("opened", "drift", day(18)), ("recovered", "drift", day(20))]


def test_a_verdict_on_another_version_does_not_count(world: World) -> None:
    world.live(2, 18)
    _scored(world, 17, 18, shifted=(17, 18))
    assert world.monitor(17).verdict.version == 1
    found = world.monitor(18).verdict
    assert (found.version, found.bad, found.confirmed, found.since) == (2, True, False, day(18))


def test_a_new_version_that_knows_the_shift_closes_the_incident_of_the_old_one(world: World) -> None:
    _scored(world, 17, 18, shifted=(17, 18))
    world.monitor(17)
    world.monitor(18)
    world.live(2, 19)
    _scored(world, 19, 19)
    world.monitor(19)
    assert world.platform.ledger.incidents.open("drift", world.model.name) is None


@pytest.mark.parametrize("left", [0, 12])
def test_a_column_that_lost_its_values_has_drifted_although_the_rest_look_the_same(world: World, left: int) -> None:
    hours = np.random.default_rng(3).integers(0, 24, A_DAY)
    _scored(world, 16, 16, shifted=(16,), hour=pa.array(hours, pa.int32(), mask=np.arange(A_DAY) >= left))
    found = world.monitor(16)
    assert found.distances["hour"] == pytest.approx(1 - left / A_DAY)
    assert "hour" in found.verdict.detail["drifted"]
    html = (world.platform.settings.reports / str(found.verdict.report)).read_text(encoding="utf-8")
    assert "hour" in html


def test_booleans_with_gaps_and_constants_that_change_are_measured(world: World) -> None:
    holiday = pa.array([None, True, False] * (A_DAY // 3))
    _scored(world, 16, 16, shifted=(16,), holiday=holiday, terminal=pa.array([5] * A_DAY, pa.int32()))
    found = world.monitor(16)
    assert 0.2 < found.distances["holiday"] < 0.5
    assert found.distances["terminal"] > 1
    assert found.verdict.bad is False, "the model gives a constant no weight"


def test_five_flights_are_measured_and_chance_alone_is_no_drift(world: World) -> None:
    _scored(world, 16, 16, shifted=(16,), rows=5)
    found = world.monitor(16)
    assert found.verdict.detail["rows"] == 5
    assert found.verdict.bad is False
    assert max(found.distances.values()) > world.model.monitoring.threshold


def test_a_day_without_flights_says_nothing_and_changes_nothing(world: World) -> None:
    _scored(world, 16, 19, shifted=(17, 18))
    world.publish_flights(19, rows=0)
    world.score(19)
    for number in (17, 18, 19):
        world.monitor(number)
    found = _verdicts(world)[19]
    assert (found.bad, found.confirmed, found.since, found.report) == (False, True, day(17), None)
    assert world.told() == []
    _scored(world, 20, 20, shifted=(20,))
    assert world.monitor(20).verdict.since == day(17)


def test_a_version_is_watched_on_its_own_columns_after_the_specification_changed(world: World) -> None:
    _scored(world, 16, 16)
    features = {"group": "flights", "columns": ["carrier", "hour"]}
    changed = World(world.platform, late_flights(world.model.name, features=features))
    assert set(changed.monitor(16).distances) == {*COLUMNS, "score"}


def test_a_day_that_was_not_scored_is_waited_for(world: World) -> None:
    with pytest.raises(NotReady, match=f"waits for {world.model.predictions} of {day(16)}"):
        world.monitor(16)

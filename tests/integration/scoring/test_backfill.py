"""Backfills of a model: what the plan says of each day, by which version it is scored, and that nothing acts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from include.mlops.errors import PartitionsFailed
from include.mlops.policy.backfill import Dependents, Order, Plan, State, part
from include.mlops.spec.load import Specs
from include.mlops.steps.history.backfill import carry_out, to_announce
from include.mlops.steps.history.backfill_plan import plan
from include.mlops.steps.platform import Platform
from tests.integration.scoring.world import OUTCOMES, V2_AS_OF, World, day, days, delays, outcomes

pytestmark = pytest.mark.slow


@pytest.fixture
def world(another_world: Callable[[], World]) -> World:
    """One whose specifications hold its model; version 1 is live from day 16 on, version 2 from day 21."""
    made = another_world()
    specs = Specs(made.platform.specs.groups, {made.model.name: made.model})
    found = World(Platform(made.platform.settings, specs), made.model)
    found.live(2, V2_AS_OF + 1)
    return found


def _plan(world: World, first: int, last: int, run_id: str = "plan", **options: Any) -> Plan:
    return plan(world.platform, Order(world.model.name, day(first), day(last), **options), run_id)


def _bulk(world: World, first: int, last: int, run_id: str = "bulk", **options: Any) -> dict[str, list[date]]:
    return carry_out(world.platform, _plan(world, first, last, run_id, **options), run_id).made


def _states(found: Plan, number: int = 0) -> dict[int, State]:
    return {one.ds.day: one.state for one in found.parts[number].days}


def _asked(group: str, dependents: Dependents) -> Plan:
    """Of days that are published, so that there is nothing to plan."""
    order = Order(group, day(14), day(18), only="all", dependents=dependents)
    return Plan(order, (part("group", group, [], "all"),))


def _rows(world: World) -> Any:
    return world.predictions(1, 30).drop_columns(["run_id", "scored_at"])


def test_days_before_any_version_was_live_are_refused_and_the_others_computed(world: World) -> None:
    world.publish_outcomes(16, 17)
    found = _plan(world, 14, 18)
    assert _states(found) == {14: "refused", 15: "refused", 16: "missing", 17: "missing", 18: "missing"}
    assert found.parts[0].refused[day(14)] == "no version is live for it and none is named"
    assert found.parts[1].computed == (day(16), day(17)), "and measured where labels are published"
    with pytest.raises(PartitionsFailed) as failed:
        carry_out(world.platform, found, "bulk")
    assert sorted(failed.value.failures) == [day(14), day(15)]
    assert sorted(set(world.predictions(1, 30)["ds"].to_pylist())) == [day(16), day(17), day(18)]
    metrics = world.platform.ledger.monitoring.metrics(world.model.name, "performance")
    assert set(metrics) == {day(16), day(17)}


def test_a_named_version_scores_any_day_and_the_plan_tells_which_it_was_trained_on(world: World) -> None:
    found = _plan(world, 13, 17, version=1)
    assert _states(found) == dict.fromkeys(range(13, 18), "missing")
    seen = [one.ds.day for one in found.parts[0].days if one.in_sample]
    assert seen == [13, 14], "version 1 saw days 2 to 14"
    carry_out(world.platform, found, "bulk")
    rows = world.predictions(13, 17)
    assert set(rows["model_version"].to_pylist()) == {1}
    assert sorted({one["ds"].day for one in rows.to_pylist() if one["in_sample"]}) == [13, 14]


def test_each_day_is_scored_by_the_version_live_for_it_in_jobs_of_some_days(world: World) -> None:
    made = _bulk(world, 19, 22, days_per_job=3)
    assert made[f"scores of {world.model.name}"] == list(days(19, 22))
    versions = {row["ds"].day: row["model_version"] for row in world.predictions(19, 22).to_pylist()}
    assert versions == {19: 1, 20: 1, 21: 2, 22: 2}


def test_twice_the_same_changes_nothing(world: World) -> None:
    world.publish_outcomes(17, 18)
    _bulk(world, 16, 20)
    before = _rows(world)
    for only in ("missing", "stale"):
        again = _plan(world, 16, 20, "again", only=only)
        assert again.computed == 0
        assert not any(carry_out(world.platform, again, "again").made.values())
    made = _bulk(world, 16, 20, "all of it", only="all")
    assert [len(some) for some in made.values()] == [5, 2]
    assert _rows(world).equals(before)
    assert _plan(world, 16, 20, only="stale").computed == 0


def test_what_was_scored_from_other_rows_or_by_another_version_is_stale(world: World) -> None:
    world.publish_outcomes(17, 18)
    _bulk(world, 16, 19)
    world.score(19, version=2)
    world.publish_flights(17, wind=[9.0] * 120)
    found = _plan(world, 16, 20, only="stale")
    assert _states(found) == {16: "present", 17: "stale", 18: "present", 19: "stale", 20: "missing"}
    reasons = {one.ds.day: one.reason for one in found.parts[0].days}
    assert "was published again with other rows" in reasons[17]
    assert reasons[19] == "v1 is live for this day, it was scored by v2"
    assert _states(found, 1) == {17: "follows", 18: "present"}, "measured again if its scores change"
    made = carry_out(world.platform, found, "bulk").made
    assert [[ds.day for ds in some] for some in made.values()] == [[17, 19, 20], [17]]
    assert _plan(world, 16, 20, only="stale").computed == 0


def test_days_of_another_version_than_the_named_one_are_stale(world: World) -> None:
    _bulk(world, 16, 17)
    named = _plan(world, 16, 17, only="stale", version=2)
    assert _states(named) == {16: "stale", 17: "stale"}
    assert named.parts[0].days[0].reason == "v2 is named, it was scored by v1"
    assert _plan(world, 16, 17, version=2).computed == 0, "nothing is missing"


def test_a_day_scored_but_not_measured_is_measured_without_being_scored_again(world: World) -> None:
    """As after a stop between the two."""
    world.score(16, 17, run_id="stopped")
    world.publish_outcomes(16, 17)
    made = _bulk(world, 16, 17, "again")
    assert [len(some) for some in made.values()] == [0, 2]
    assert set(world.predictions(16, 17)["run_id"].to_pylist()) == {"stopped"}


def test_a_run_of_all_days_that_was_stopped_goes_on_under_its_own_name(world: World) -> None:
    _bulk(world, 16, 20, "yesterday")
    planned = _plan(world, 16, 20, "today", only="all")
    world.score(16, 17, run_id="today")  # as far as it came
    assert _states(_plan(world, 16, 20, "today", only="all")) == {16: "done", 17: "done"} | dict.fromkeys(
        (18, 19, 20), "present"
    )
    made = carry_out(world.platform, planned, "today").made
    assert made[f"scores of {world.model.name}"] == list(days(18, 20))
    assert set(world.predictions(16, 20)["run_id"].to_pylist()) == {"today"}


def test_nothing_is_told_or_decided_even_at_the_frontier(world: World) -> None:
    """Late flights come early and early ones late: a night's measurement of the newest day tells of it."""
    for ds in days(16, 30):
        world.publish(outcomes(ds, delay=pa.array(30 - delays(ds), from_pandas=True)), [ds], OUTCOMES)
    decisions = world.platform.ledger.releases.decisions(world.model.name)
    _bulk(world, 16, 30)
    assert world.platform.ledger.monitoring.verdicts(world.model.name, "performance")[-1].confirmed
    assert world.told() == []
    assert world.platform.ledger.releases.decisions(world.model.name) == decisions
    world.measure(30)
    assert world.told() == [("opened", "performance", day(30))]


def test_events_go_out_for_days_that_a_live_version_has_not_scored(world: World) -> None:
    """The group's days were published by the run `run`."""
    started = _asked("flights", "start")
    assert to_announce(world.platform, started, "run") == [day(16), day(17), day(18)]
    world.score(16, 17)
    assert to_announce(world.platform, started, "run") == [day(18)]
    world.publish_flights(17, wind=[9.0] * 120)
    assert to_announce(world.platform, started, "run") == [day(17), day(18)], "its scores are stale"
    assert to_announce(world.platform, started, "another") == [], "it published none of them"
    for dependents in ("leave", "compute"):
        assert to_announce(world.platform, _asked("flights", dependents), "run") == []


def test_events_of_labels_go_out_for_days_that_are_scored_and_not_measured(world: World) -> None:
    world.publish_outcomes(16, 17, 18)
    world.score(17, 18)
    world.measure(18)
    started = _asked("outcomes", "start")
    assert to_announce(world.platform, started, "run") == [day(17)]

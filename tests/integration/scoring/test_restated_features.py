"""Scores and performance of a day whose features or labels were published again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from include.mlops.registry.version import Version
from include.mlops.spec.load import Specs
from include.mlops.steps.history.restatement import Restated, remeasure, restate_dependents
from include.mlops.steps.inputs.dependents import stale_dependents, stale_everywhere
from include.mlops.steps.inputs.freshness import stale, stale_measured
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring import score as scoring
from include.mlops.steps.scoring.score import _judged
from tests.integration.scoring.world import A_DAY, FLIGHTS, OUTCOMES, World, day, days

pytestmark = pytest.mark.slow


def _with_model(world: World, **changes: object) -> World:
    model = world.model.model_copy(update=changes)
    specs = Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {model.name: model})
    return replace(world, platform=Platform(world.platform.settings, specs), model=model)


@pytest.fixture
def scored(another_world: Callable[[], World]) -> Callable[..., World]:
    """Days 16 to 19 scored, 16 and 17 measured."""

    def make(**changes: object) -> World:
        made = _with_model(another_world(), **changes)
        made.score(16, 19)
        made.publish_outcomes(16, 17)
        made.measure(16, 17)
        return made

    return make


def _restate(world: World, number: int, *, told: bool = False) -> Restated:
    return restate_dependents(world.platform, FLIGHTS, days(number, number), "cascade", told=told)


def _runs(world: World) -> dict[int, str]:
    found = world.platform.ledger.publications.over(world.model.predictions, days(16, 19))
    return {ds.day: one.run_id for ds, one in sorted(found.items())}


def test_only_scores_of_other_features_are_out_of_date_and_then_the_performance(scored: Callable[..., World]) -> None:
    world = scored()
    world.publish_flights(16)
    assert stale(world.platform, world.model, days(16, 19)) == {}, "the same rows again"
    world.publish_flights(16, wind=[9.0] * A_DAY)
    again = "its input flights_v1 of 2013-01-16 was published again with other rows"
    assert stale(world.platform, world.model, days(16, 19)) == {day(16): again}
    (one,) = stale_dependents(world.platform, FLIGHTS, days(16, 16))
    assert one.commands == (f"python -m include.mlops score {world.model.name} --from 2013-01-16 --to 2013-01-16",)
    assert _restate(world, 16) == Restated({}, {f"scores of {world.model.name}": [day(16)]}, {})
    assert _runs(world) == dict.fromkeys(range(16, 20), "run")

    world.score(16)
    assert stale(world.platform, world.model, days(16, 19)) == {}
    assert list(stale_measured(world.platform, world.model, world.model.performance, days(16, 19))) == [day(16)]
    assert [one.kind for one in stale_everywhere(world.platform, world.model.name, None)] == ["performance"]


def test_scores_and_performance_are_made_again_by_the_version_of_the_day(scored: Callable[..., World]) -> None:
    world = scored(restatement="recompute")
    world.live(2, 20)
    world.monitor(16)
    before = len(world.platform.ledger.releases.decisions(world.model.name)), world.told()
    old = world.platform.ledger.monitoring.metrics(world.model.name, "performance")
    world.publish_flights(16, wind=[9.0] * A_DAY)
    done = _restate(world, 16)
    assert done.made == {f"{what} of {world.model.name}": [day(16)] for what in ("scores", "drift", "performance")}
    assert _runs(world) == {16: "cascade", 17: "run", 18: "run", 19: "run"}
    assert set(world.predictions(16)["model_version"].to_pylist()) == {1}
    new = world.platform.ledger.monitoring.metrics(world.model.name, "performance")
    assert (old[day(16)] != new[day(16)], old[day(17)] == new[day(17)]) == (True, True)
    verdicts = world.platform.ledger.monitoring.verdicts(world.model.name, "drift")
    assert [(verdict.ds, verdict.run_id) for verdict in verdicts] == [(day(16), "cascade")], "where it was measured"
    assert stale_everywhere(world.platform, world.model.name, days(16, 19)) == []
    after = len(world.platform.ledger.releases.decisions(world.model.name)), world.told()
    assert after == before, "nothing behind the frontier alerts or decides"


def test_what_the_events_of_a_partition_start_is_not_done_twice(scored: Callable[..., World]) -> None:
    world = scored(restatement="recompute")
    world.publish_flights(16, wind=[9.0] * A_DAY)
    assert _restate(world, 16, told=True).made == {}, "its score DAG does that"
    world.score(16)
    assert remeasure(world.platform, world.model, days(16, 16), "the score DAG") == [day(16)]
    assert remeasure(world.platform, world.model, days(16, 16), "the score DAG") == []


def test_a_version_that_somebody_named_is_told_and_kept(scored: Callable[..., World]) -> None:
    world = scored(restatement="recompute")
    world.score(17, version=2)
    told = "v1 is live for this day, it was scored by v2"
    assert stale(world.platform, world.model, days(16, 19)) == {day(17): told}
    world.publish_flights(17, wind=[9.0] * A_DAY)
    _restate(world, 17)
    assert set(world.predictions(17)["model_version"].to_pylist()) == {2}


def test_features_published_while_a_scoring_begins_make_its_scores_stale_and_are_not_said_to_be_read(
    scored: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = scored()
    registry = world.platform.registry
    file = registry.model_file

    def slowly(record: Version) -> bytes:
        world.publish_flights(16, wind=[9.0] * A_DAY)
        return file(record)

    monkeypatch.setattr(registry, "model_file", slowly)
    world.score(16, 16, "early")
    assert set(stale(world.platform, world.model, days(16, 19))) == {day(16)}


def test_a_scoring_by_another_version_counts_although_another_day_was_published_meanwhile(
    scored: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = scored()

    def rival(*arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        world.publish_flights(22)
        world.score(16, 16, "rival")
        return _judged(*arguments, **options)

    monkeypatch.setattr(scoring, "_judged", rival)
    assert set(world.score(16, 16, "chosen").rows) == {day(16)}
    assert _runs(world)[16] == "chosen"

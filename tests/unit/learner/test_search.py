"""Searching parameters with the real Optuna and XGBoost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from include.mlops.errors import TrainingFailed
from include.mlops.learner import search as searching
from include.mlops.learner.boosting import Stopping
from include.mlops.learner.fit import fit
from include.mlops.learner.recipe import Recipe
from include.mlops.learner.search import Trial, best, search, with_parameters
from include.mlops.learner.search_plot import importances, plot, table
from include.mlops.spec.training import Search
from tests.unit.learner.test_boosting import TRAINING, VALIDATION, Followed

RECIPE = Recipe("binary", ("carrier", "distance", "hour"), rounds=20, seed=7, threads=1)
SPACE = {
    "max_depth": [1, 6],
    "learning_rate": {"low": 0.001, "high": 0.5, "log": True},
    "subsample": [0.5, 1.0],
    "grow_policy": {"choices": ["depthwise", "lossguide"]},
}


def _asked(**changes: Any) -> Search:
    return Search.model_validate({"trials": 14, "minutes": 5, "validation": "3d", "space": SPACE, **changes})


def _search(
    asked: Search | None = None, done: Sequence[Trial] = (), recipe: Recipe = RECIPE, told: list[Any] | None = None
) -> list[Trial]:
    seen: list[Any] = [] if told is None else told
    return search(TRAINING, VALIDATION, recipe, asked or _asked(), "roc_auc", done, seen.append, lambda *_: None)


def _timeless(trials: Sequence[Trial]) -> list[Trial]:
    return [replace(trial, seconds=0) for trial in trials]


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return _search()


def test_it_tries_what_the_space_holds_and_takes_the_best(trials: list[Trial]) -> None:
    assert [trial.number for trial in trials] == list(range(14))
    for trial in trials:
        found = trial.parameters
        assert isinstance(found["max_depth"], int)
        assert 1 <= found["max_depth"] <= 6
        assert 0.001 <= found["learning_rate"] <= 0.5 <= found["subsample"] <= 1
        assert found["grow_policy"] in ("depthwise", "lossguide")
    winner = best(trials, "binary", "roc_auc")
    assert winner.value == max(trial.value for trial in trials if trial.state == "complete")
    assert with_parameters(RECIPE, winner.parameters).parameters == winner.parameters


def test_a_hopeless_trial_is_pruned_before_its_last_round(trials: list[Trial]) -> None:
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.rounds < RECIPE.rounds and trial.number >= 5 for trial in pruned)
    assert all(trial.rounds == RECIPE.rounds for trial in trials if trial.state == "complete")


def test_a_search_that_was_killed_tries_what_an_unbroken_one_would_have_tried(trials: list[Trial]) -> None:
    kept = [Trial.from_dict(json.loads(json.dumps(trial.to_dict()))) for trial in trials[:9]]
    told: list[Trial] = []
    assert _timeless(_search(done=kept, told=told)) == _timeless(trials)
    assert [trial.number for trial in told] == [9, 10, 11, 12, 13]


def test_time_that_is_spent_ends_it_and_the_trial_that_ran_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 1))  # each look at the clock is a second; a trial looks at it once a round
    monkeypatch.setattr(searching.time, "monotonic", lambda: float(next(clock)))
    told: list[Trial] = []
    found = _search(_asked(minutes=1), told=told)
    assert 1 <= len(found) < 4
    assert found == told
    monkeypatch.undo()
    spent = [replace(found[0], seconds=60.0)]
    assert _search(_asked(minutes=1), spent) == spent


def test_no_trial_in_time_is_refused() -> None:
    with pytest.raises(TrainingFailed, match=r"found none in 0.0001 minutes; give it more"):
        _search(_asked(minutes=0.0001), recipe=replace(RECIPE, rounds=5000))


def test_a_trial_that_stops_early_is_judged_by_the_round_that_it_would_keep() -> None:
    recipe = replace(RECIPE, rounds=200, early_stopping=Stopping(3, "roc_auc", higher_is_better=True))
    [trial] = _search(_asked(trials=1, space={"learning_rate": [0.4, 0.5]}), recipe=recipe)
    followed = Followed()
    fit(TRAINING, VALIDATION, with_parameters(recipe, trial.parameters), followed, VALIDATION)
    assert trial.rounds == len(followed.rounds) < 200
    assert trial.value == max(metrics["validation_roc_auc"] for metrics in followed.metrics)


def test_the_table_has_a_line_for_each_trial_and_the_picture_is_a_png(trials: list[Trial]) -> None:
    lines = table(trials).decode().splitlines()
    assert lines[0] == "number,state,value,grow_policy,learning_rate,max_depth,subsample,rounds,seconds"
    assert len(lines) == 15
    space = _asked().space
    assert plot(trials, space, "roc_auc", higher_is_better=True).startswith(b"\x89PNG")
    assert plot(trials[:1], space, "roc_auc", higher_is_better=True).startswith(b"\x89PNG")
    assert sum(importances(trials, space, higher_is_better=True).values()) == pytest.approx(1)
    assert importances(trials[:3], space, higher_is_better=True) == {}

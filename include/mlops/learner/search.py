"""Searching parameters with Optuna: trials on the training rows, judged on the validation rows after each few rounds.

What a trial is given depends on the trials before it and the seed alone, so a search that goes on after it was killed
tries what an unbroken one would have tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from include.mlops.errors import TrainingFailed
from include.mlops.learner.boosting import VALIDATION
from include.mlops.learner.fit import Examples, Prepared, boosted, prepare
from include.mlops.learner.recipe import Recipe
from include.mlops.spec.tasks import TASKS
from include.mlops.spec.training import Dimension, Search

optuna.logging.set_verbosity(optuna.logging.WARNING)
_STARTUP, _REPORTS = 5, 20  # trials before any is pruned; reports of a trial to the pruner
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}


@dataclass(frozen=True)
class Trial:
    """`value` is the metric on the validation rows after the round that would be kept, or after the last report of a
    pruned trial; `reports` are those of some rounds.
    """

    number: int
    parameters: Mapping[str, Any]
    value: float
    state: Literal["complete", "pruned"]
    reports: Mapping[int, float]
    rounds: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        return cls(**{**values, "reports": {int(number): value for number, value in values["reports"].items()}})


class _TimeUpError(Exception):
    """The search has no time left for the trial that runs."""


class _PrunedError(Exception):
    """The trial is worse than most were after as many rounds."""


def search(
    training: Examples,
    validation: Examples,
    recipe: Recipe,
    asked: Search,
    metric: str,
    done: Sequence[Trial],
    on_trial: Callable[[Trial], None],
    on_round: Callable[[int, int], None],
) -> list[Trial]:
    """All trials, `done` (of the same search, killed) included; `metric` is one that boosting follows.

    `on_trial` is told of each that ends, `on_round` of a trial's number and its rounds so far. Raises TrainingFailed
    where no trial ends within the budget.
    """
    trials = list(done)
    ends = time.monotonic() + 60 * asked.minutes - sum(trial.seconds for trial in trials)
    if len(trials) < asked.trials and time.monotonic() < ends:
        prepared = prepare(training, {VALIDATION: validation}, recipe)
    study = _study(recipe, asked, metric, trials)
    space = distributions(asked.space)
    while len(trials) < asked.trials and time.monotonic() < ends:
        number = len(trials)
        seed = int(np.random.SeedSequence([recipe.seed, number]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        asking = study.ask(space)
        try:
            trial = _try(asking, prepared, recipe, metric, ends, partial(on_round, number))
        except _TimeUpError:
            break
        study.tell(asking, None if trial.state == "pruned" else trial.value, state=_STATES[trial.state])
        trials.append(trial)
        on_trial(trial)
    if not any(trial.state == "complete" for trial in trials):
        raise TrainingFailed(
            f"expected a trial to end within training.search.minutes, found none in {asked.minutes:g} minutes; "
            "give it more, or lower training.rounds"
        )
    return trials


def best(trials: Sequence[Trial], task: str, metric: str) -> Trial:
    """The first of the best complete ones."""
    sign = 1 if TASKS[task].metrics[metric].higher_is_better else -1
    return max((trial for trial in trials if trial.state == "complete"), key=lambda trial: sign * trial.value)


def with_parameters(recipe: Recipe, found: Mapping[str, Any]) -> Recipe:
    return replace(recipe, parameters={**recipe.parameters, **found})


def distributions(space: Mapping[str, Dimension]) -> dict[str, BaseDistribution]:
    """What Optuna draws from."""

    def one(of: Dimension) -> BaseDistribution:
        if of.choices is not None:
            return CategoricalDistribution(of.choices)
        return IntDistribution(of.low, of.high, of.log) if of.whole else FloatDistribution(of.low, of.high, of.log)

    return {name: one(dimension) for name, dimension in space.items()}


def frozen(trial: Trial, space: Mapping[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """As Optuna holds it."""
    return optuna.trial.create_trial(
        state=_STATES[trial.state],
        value=trial.value,
        params=dict(trial.parameters),
        distributions=dict(space),
        intermediate_values=dict(trial.reports),
    )


def _study(recipe: Recipe, asked: Search, metric: str, done: Sequence[Trial]) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=recipe.rounds // 10)
    study = optuna.create_study(
        direction="maximize" if TASKS[recipe.task].metrics[metric].higher_is_better else "minimize", pruner=pruner
    )
    space = distributions(asked.space)
    study.add_trials([frozen(trial, space) for trial in done])
    return study


def _try(
    asking: optuna.Trial,
    prepared: Prepared,
    recipe: Recipe,
    metric: str,
    ends: float,
    on_round: Callable[[int], None],
) -> Trial:
    """Boost once, reporting as it goes. Raises _TimeUpError."""
    began = time.monotonic()
    step = max(1, recipe.rounds // _REPORTS)
    values: list[float] = []
    reports: dict[int, float] = {}

    def after(number: int, metrics: Mapping[str, float]) -> None:
        values.append(metrics[f"{VALIDATION}_{metric}"])
        on_round(number)
        if time.monotonic() > ends:
            raise _TimeUpError
        if number % step == 0:
            reports[number] = values[-1]
            asking.report(values[-1], number)
            if asking.should_prune():
                raise _PrunedError

    def ended(state: Literal["complete", "pruned"], kept: int) -> Trial:
        seconds = time.monotonic() - began
        return Trial(asking.number, asking.params, values[kept - 1], state, reports, len(values), seconds)

    try:
        kept = boosted(prepared, with_parameters(recipe, asking.params), after).num_boosted_rounds()
    except _PrunedError:
        return ended("pruned", len(values))
    return ended("complete", kept)

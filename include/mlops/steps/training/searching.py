"""Search: other parameters for a planned training, tried on its own days, told in MLflow as nested runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.learner.fit import Examples
from include.mlops.learner.search import Trial, best, search, with_parameters
from include.mlops.learner.search_plot import plot, table
from include.mlops.registry.run import Run
from include.mlops.spec.model import Model
from include.mlops.spec.tasks import TASKS
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_plan import Plan, newest
from include.mlops.steps.training.training_set import Parts

log = logging.getLogger(__name__)
TABLE, PLOT = "search.csv", "search.png"
"""Names of the files that a run logs."""


def searched(
    platform: Platform,
    model: Model,
    planned: Plan,
    parts: Parts,
    run: Run,
    progress: Callable[[int, int, Mapping[str, float]], None] | None,
) -> Plan:
    """The plan with the parameters that a search found. Trials of runs that were killed are not repeated.

    Raises TrainingFailed, ServiceUnavailable.
    """
    asked, metric, rounds = model.training.search, model.search_metric, planned.recipe.rounds
    assert asked is not None
    told = platform.registry.trials(run, model.name, platform.registry.unfinished(model.name, planned.key))
    over = told.concluded()
    trials = [Trial.from_dict(values) for values in told.adopt()]
    if trials:
        log.info("%s: %d trial(s) of an unfinished search are taken over", model.name, len(trials))

    def on_trial(trial: Trial) -> None:
        told.log(trial.to_dict(), metric)
        log.info("%s: trial %d %s, %s %.4f", model.name, trial.number, trial.state, metric, trial.value)

    def on_round(trial: int, number: int) -> None:
        if progress:
            progress(trial * rounds + number, (asked.trials + 1) * rounds, {})

    if not over:
        training, validation = _halves(parts, newest(planned.source.window, model.training.validation_days).first)
        trials = search(training, validation, planned.recipe, asked, metric, trials, on_trial, on_round)
    found = best(trials, model.task, metric)
    log.info("%s: trial %d of %d is the best, with %s", model.name, found.number, len(trials), dict(found.parameters))
    drawn = plot(trials, asked.space, metric, higher_is_better=TASKS[model.task].metrics[metric].higher_is_better)
    run.log_files({TABLE: table(trials), PLOT: drawn})
    run.log_metrics({f"search_best_{metric}": found.value, "search_trials": float(len(trials))})
    told.conclude(found.number, found.parameters)
    return replace(planned, recipe=with_parameters(planned.recipe, found.parameters))


def _halves(parts: Parts, first: date) -> tuple[Examples, Examples]:
    """What trials are fitted on, and what judges them: the days from `first` on."""
    if parts.stops:
        return parts.training.examples, parts.stops
    whole = parts.training.examples
    newer = pc.greater_equal(whole.rows.column("ds"), pa.scalar(first))
    mask = np.asarray(newer.to_numpy(), dtype=bool)
    older = Examples(whole.rows.filter(pc.invert(newer)), whole.labels[~mask])
    return older, Examples(whole.rows.filter(newer), whole.labels[mask])

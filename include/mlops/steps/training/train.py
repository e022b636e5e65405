"""Train: a model version fitted on pinned data, judged on its holdout, and registered as challenger.

The same training done again, also after it was killed, gives back the version that exists.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.errors import ServiceUnavailable
from include.mlops.lake.checkpoints import StoredCheckpoints
from include.mlops.learner.distance import usual_distances
from include.mlops.learner.evaluate import evaluate
from include.mlops.learner.plots import draw
from include.mlops.learner.predict import load
from include.mlops.learner.profile import profile, to_parquet
from include.mlops.registry.run import Run
from include.mlops.registry.version import CHALLENGER, CHAMPION, Version
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.training import training_record as told
from include.mlops.steps.training.fitting import RunCheckpoints, fitted
from include.mlops.steps.training.training_plan import Plan, plan
from include.mlops.steps.training.training_set import Parts

log = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each round with its number, the number of all rounds, and the holdout's metrics."""


@dataclass(frozen=True)
class Trained:
    """A registered version. `reused` says that this training had been done before."""

    model: str
    version: int
    as_of: date
    mlflow_run: str
    metrics: dict[str, float]
    sha256: str
    run_url: str
    reused: bool


def train(
    platform: Platform,
    model: Model,
    as_of: date,
    run_id: str,
    progress: Progress | None = None,
    airflow_run_url: str = "",
) -> Trained:
    """Raises NotReady, TrainingFailed, FeaturesUnusable, SettingsError (no such device), ServiceUnavailable."""
    planned = plan(platform, model, as_of)
    done = platform.registry.find(model.name, planned.key)
    if done:
        log.info("%s as of %s was trained before: v%d", model.name, as_of, done.number)
        platform.registry.close(done)
        _challenge(platform, done)
        _checkpoints(platform, model, planned).sweep()
        return _trained(platform, done, reused=True)
    for lost in platform.registry.abandon(model.name, planned.key):
        log.warning("%s as of %s: the run %s was left unfinished and is marked killed", model.name, as_of, lost)
    parts = Parts.read(platform.lake, planned.source, planned.recipe.columns, planned.share)
    tags = told.run_tags(planned, as_of, run_id, airflow_run_url)
    run = platform.registry.begin(model.name, f"{model.name} as of {as_of}", told.parameters(model), tags)
    try:
        if model.training.search:
            from include.mlops.steps.training.searching import searched  # Optuna takes its time to import

            planned = searched(platform, model, planned, parts, run, progress)
        version = _fit_and_register(platform, model, as_of, planned, parts, run, progress)
    except BaseException:
        with suppress(ServiceUnavailable):
            run.fail()
        raise
    _challenge(platform, version)
    _checkpoints(platform, model, planned).sweep()
    return _trained(platform, version, reused=False)


def _fit_and_register(
    platform: Platform,
    model: Model,
    as_of: date,
    planned: Plan,
    parts: Parts,
    run: Run,
    progress: Progress | None,
) -> Version:
    training, holdout = parts.training.examples, parts.holdout.examples
    stored = _checkpoints(platform, model, planned)
    checkpoints = RunCheckpoints(stored, run) if stored.every else None
    follow = _Rounds(model, run, progress)
    found = fitted(platform, planned.source, planned.recipe, planned.workers, parts, follow, checkpoints)
    follow.end()
    predictor = load(found.model, planned.recipe.threads)
    predictions = predictor.predict(holdout.rows)
    metrics = evaluate(model.task, holdout.labels, predictions)
    log.info("%s as of %s on its holdout: %s", model.name, as_of, _shown(metrics))
    judged = {f"holdout_{name}": value for name, value in metrics.items()}
    run.log_metrics(
        {
            **judged,
            **told.counts(parts, planned.share),
            "rounds": found.rounds,
            **{f"importance_{n}": g for n, g in found.importances.items()},
        }
    )
    for use in told.datasets(planned, training.rows.schema, found.digest):
        run.log_dataset(use)
    sha256 = hashlib.sha256(found.model).hexdigest()
    keys, size = planned.source.keys, platform.settings.sample_rows
    reference = profile(training, predictor, [*keys, "ds"], size)
    run.log_files(
        {
            told.RECORD: _json(told.record(planned, as_of, found, sha256)),
            told.SPEC: _json(model.model_dump(mode="json")),
            told.IMPORTANCES: _json(found.importances),
            told.REFERENCE: to_parquet(reference),
            told.USUAL: _json(usual_distances(training.rows, reference, predictor, keys, size)),
            **draw(model.task, holdout.labels, predictions, predictor.classes),
        }
    )
    return run.register(
        told.artifact(found, predictor, holdout.rows),
        told.version_tags(planned, as_of, metrics, sha256),
        told.description(model, as_of, planned, found, parts, metrics),
    )


def _checkpoints(platform: Platform, model: Model, planned: Plan) -> StoredCheckpoints:
    """Where this training and no other leaves them."""
    every = model.training.checkpoint_every
    return StoredCheckpoints.of(platform.settings.warehouse, model.name, planned.key, every)


class _Rounds:
    """What follows each round: step metrics in MLflow, a line in the log every tenth of the way.

    To `progress` each trial of a search is as many rounds as the boosting after it.
    """

    def __init__(self, model: Model, run: Run, progress: Progress | None) -> None:
        self._model, self._rounds, self._run, self._progress = model.name, model.training.rounds, run, progress
        self._before = model.training.search.trials * self._rounds if model.training.search else 0
        self._newest = 0

    def __call__(self, number: int, metrics: Mapping[str, float]) -> None:
        self._run.log_round(number, metrics)
        if number % max(1, self._rounds // 10) == 0 or number == self._rounds:
            share = 100 * number / self._rounds
            log.info("%s: %3.0f%%, round %d of %d, %s", self._model, share, number, self._rounds, _shown(metrics))
        self._tell(number, metrics)

    def end(self) -> None:
        """Boosting may have stopped early."""
        if self._newest < self._rounds:
            self._tell(self._rounds, {})

    def _tell(self, number: int, metrics: Mapping[str, float]) -> None:
        self._newest = number
        if self._progress:
            self._progress(self._before + number, self._before + self._rounds, metrics)


def _challenge(platform: Platform, version: Version) -> None:
    """The newest version is the challenger, unless it is the champion already."""
    newest = platform.registry.versions(version.model)[-1]
    champion = platform.registry.aliased(version.model, CHAMPION)
    if newest.number == version.number and (champion is None or champion.number != version.number):
        platform.registry.alias(version, CHALLENGER)


def _trained(platform: Platform, version: Version, *, reused: bool) -> Trained:
    url = platform.registry.run_url(version)
    return Trained(
        version.model, version.number, version.as_of, version.mlflow_run, version.metrics, version.sha256, url, reused
    )


def _shown(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _json(values: Any) -> bytes:
    return json.dumps(values, indent=2, sort_keys=True).encode()

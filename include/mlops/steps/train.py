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

import pyarrow as pa

from include.mlops.errors import ServiceUnavailable
from include.mlops.learner.evaluate import evaluate
from include.mlops.learner.fit import Fitted, fit
from include.mlops.learner.predict import Predictor, load
from include.mlops.learner.profile import profile, to_parquet
from include.mlops.registry import version as named
from include.mlops.registry.model_format import ANY, ModelArtifact
from include.mlops.registry.run import DatasetUse, Run
from include.mlops.registry.version import CHALLENGER, CHAMPION, Version
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.provenance import code_revision, packages
from include.mlops.steps.training_plan import Plan, plan
from include.mlops.steps.training_set import Pinned, Selection, select

log = logging.getLogger(__name__)
RECORD, REFERENCE, SPEC, IMPORTANCES = "record.json", "reference.parquet", "spec.json", "importances.json"
"""Names of the files that a run logs."""

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each round with its number, the number of all rounds, and the holdout's metrics."""


@dataclass(frozen=True)
class Trained:
    """A registered challenger. `reused` says that this training had been done before."""

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
        return _trained(platform, done, reused=True)
    for lost in platform.registry.abandon(model.name, planned.key):
        log.warning("%s as of %s: the run %s was left unfinished and is marked killed", model.name, as_of, lost)
    parts = {
        name: select(platform.lake, planned.source, planned.recipe.columns, days)
        for name, days in _parts(planned).items()
    }
    run = platform.registry.begin(
        model.name, f"{model.name} as of {as_of}", _parameters(model), _tags(planned, as_of, run_id, airflow_run_url)
    )
    try:
        version = _fit_and_register(platform, model, as_of, planned, parts, run, progress)
    except BaseException:
        with suppress(ServiceUnavailable):
            run.fail()
        raise
    _challenge(platform, version)
    return _trained(platform, version, reused=False)


def _fit_and_register(
    platform: Platform,
    model: Model,
    as_of: date,
    planned: Plan,
    parts: dict[str, Selection],
    run: Run,
    progress: Progress | None,
) -> Version:
    training, holdout = parts["training"].examples, parts["holdout"].examples
    rounds = _Rounds(model.name, planned.recipe.rounds, run, progress)
    fitted = fit(training, holdout, planned.recipe, rounds)
    predictor = load(fitted.model, planned.recipe.threads)
    metrics = evaluate(model.task, holdout.labels, predictor.predict(holdout.rows))
    log.info("%s as of %s on its holdout: %s", model.name, as_of, _shown(metrics))
    counts = {f"{name}_{kind}": float(n) for name, part in parts.items() for kind, n in _counts(part).items()}
    run.log_metrics(
        {**{f"holdout_{name}": value for name, value in metrics.items()}, **counts, **_named_importances(fitted)}
    )
    for use in _datasets(planned, training.rows.schema, fitted.digest):
        run.log_dataset(use)
    sha256 = hashlib.sha256(fitted.model).hexdigest()
    reference = profile(training, predictor, [*planned.source.keys, "ds"], platform.settings.sample_rows)
    record = _record(planned, as_of, fitted, sha256)
    run.log_files(
        {
            RECORD: _json(record),
            SPEC: _json(model.model_dump(mode="json")),
            IMPORTANCES: _json(fitted.importances),
            REFERENCE: to_parquet(reference),
        }
    )
    tags = {
        **_tags(planned, as_of),
        named.WINDOW: _between(planned.source.window),
        named.HOLDOUT: _between(planned.source.holdout),
        named.HOLDOUT_METRICS: json.dumps(metrics),
        named.MODEL_SHA256: sha256,
    }
    return run.register(
        _artifact(fitted, predictor, holdout.rows), tags, _description(model, as_of, planned, parts, metrics)
    )


class _Rounds:
    """What follows each round: step metrics in MLflow, a line in the log every tenth of the way."""

    def __init__(self, model: str, rounds: int, run: Run, progress: Progress | None) -> None:
        self._model, self._rounds, self._run, self._progress = model, rounds, run, progress

    def __call__(self, number: int, metrics: Mapping[str, float]) -> None:
        self._run.log_round(number, metrics)
        if number % max(1, self._rounds // 10) == 0 or number == self._rounds:
            log.info(
                "%s: %3.0f%% round %d of %d, %s",
                self._model,
                100 * number / self._rounds,
                number,
                self._rounds,
                _shown(metrics),
            )
        if self._progress:
            self._progress(number, self._rounds, metrics)


def _challenge(platform: Platform, version: Version) -> None:
    """The newest version is the challenger, unless it is the champion already."""
    newest = platform.registry.versions(version.model)[-1]
    champion = platform.registry.aliased(version.model, CHAMPION)
    if newest.number == version.number and (champion is None or champion.number != version.number):
        platform.registry.alias(version, CHALLENGER)


def _parts(planned: Plan) -> dict[str, Interval]:
    return {"training": planned.source.window, "holdout": planned.source.holdout}


def _counts(part: Selection) -> dict[str, int]:
    return {"rows": len(part.examples.labels), "unlabelled_rows": part.unlabelled}


def _tags(planned: Plan, as_of: date, run_id: str = "", airflow_run_url: str = "") -> dict[str, str]:
    source = planned.source
    tags = {
        named.AS_OF: str(as_of),
        named.TRAINING_KEY: planned.key,
        "mlops.spec_hash": planned.meaning,
        "mlops.code_revision": code_revision(),
        "mlops.data_tag": source.features.tag,
        "mlops.features_table": source.features.table,
        "mlops.features_snapshot": str(source.features.snapshot_id),
        "mlops.labels_table": source.labels.table,
        "mlops.labels_snapshot": str(source.labels.snapshot_id),
    }
    optional = {"mlops.run_id": run_id, "mlops.airflow_run_url": airflow_run_url}
    return {**tags, **{name: value for name, value in optional.items() if value}}


def _parameters(model: Model) -> dict[str, object]:
    """The specification, flat: `training.window: 56`."""

    def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in values.items():
            found |= flat(f"{prefix}{name}.", value) if isinstance(value, dict) else {f"{prefix}{name}": value}
        return found

    return {
        name: value for name, value in flat("", model.model_dump(mode="json")).items() if value not in (None, "", [])
    }


def _datasets(planned: Plan, schema: pa.Schema, digest: str) -> list[DatasetUse]:
    columns = {name: _mlflow_type(schema.field(name).type) for name in (*planned.source.keys, *planned.recipe.columns)}

    def use(pinned: Pinned, context: str, days: Interval, columns: Mapping[str, str]) -> DatasetUse:
        source = {"table": pinned.table, "tag": pinned.tag, "snapshot_id": pinned.snapshot_id, "days": _between(days)}
        unique = hashlib.sha256(f"{digest}{source}".encode()).hexdigest()[:16]
        return DatasetUse(pinned.table, context, unique, source, columns)

    source = planned.source
    return [
        use(pinned, context, days, columns if pinned is source.features else {})
        for context, days in _parts(planned).items()
        for pinned in (source.features, source.labels)
    ]


def _record(planned: Plan, as_of: date, fitted: Fitted, sha256: str) -> dict[str, Any]:
    """All that `reproduce` needs to train the version again."""
    return {
        "as_of": str(as_of),
        "recipe": planned.recipe.to_dict(),
        "source": planned.source.to_dict(),
        "packages": packages(),
        "code_revision": code_revision(),
        "digest": fitted.digest,
        "model_sha256": sha256,
    }


def _artifact(fitted: Fitted, predictor: Predictor, rows: pa.Table) -> ModelArtifact:
    columns = {name: _mlflow_type(rows.schema.field(name).type) for name in predictor.columns}
    return ModelArtifact(fitted.model, columns, rows.select(list(columns)).slice(0, 5).to_pylist())


def _mlflow_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return ANY
    return "double" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else "string"


def _named_importances(fitted: Fitted) -> dict[str, float]:
    return {f"importance_{name}": share for name, share in fitted.importances.items()}


def _description(
    model: Model, as_of: date, planned: Plan, parts: dict[str, Selection], metrics: Mapping[str, float]
) -> str:
    rows = {name: len(part.examples.labels) for name, part in parts.items()}
    return (
        f"As of {as_of}: trained on {rows['training']:,} rows of {planned.source.window}, judged on {rows['holdout']:,} rows of "
        f"{planned.source.holdout}. {model.gate.metric} {metrics[model.gate.metric]:.4f}. "
        f"Data: {planned.source.features.table} and {planned.source.labels.table} at the tag {planned.source.features.tag}."
    )


def _trained(platform: Platform, version: Version, *, reused: bool) -> Trained:
    url = platform.registry.run_url(version)
    return Trained(
        version.model, version.number, version.as_of, version.mlflow_run, version.metrics, version.sha256, url, reused
    )


def _between(days: Interval) -> str:
    return f"{days.first}..{days.last}"


def _shown(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _json(values: Any) -> bytes:
    return json.dumps(values, indent=2, sort_keys=True).encode()

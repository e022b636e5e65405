"""What the registry is told of a training: parameters, tags, data, and the record from which it can be done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from include.mlops.learner.fit import Fitted
from include.mlops.learner.predict import Predictor
from include.mlops.registry import version as named
from include.mlops.registry.model_format import ANY, ModelArtifact
from include.mlops.registry.run import DatasetUse
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.training.provenance import code_revision, packages
from include.mlops.steps.training.training_plan import Plan
from include.mlops.steps.training.training_set import Parts, Pinned

RECORD, REFERENCE, SPEC, IMPORTANCES = "record.json", "reference.parquet", "spec.json", "importances.json"
USUAL = "usual_distances.json"
"""Names of the files that a run logs."""
FEATURES_TABLE = "mlops.features_table"
"""The tag that names the table a version was trained on, and scores from."""
LABELS_TABLE, DATA_TAG = "mlops.labels_table", "mlops.data_tag"
FEATURES_SNAPSHOT, LABELS_SNAPSHOT = "mlops.features_snapshot", "mlops.labels_snapshot"


def counts(parts: Parts, share: float) -> dict[str, float]:
    """Metrics such as `training_rows`, `holdout_unlabelled_rows`; with a share below 1 `sampled_training_rows`."""
    every = {"training": parts.training, "validation": parts.validation, "holdout": parts.holdout}
    sampled = "sampled_" if share < 1 else ""
    named_parts = {sampled + name: part for name, part in every.items() if part}
    rows = {f"{name}_rows": float(len(part.examples.labels)) for name, part in named_parts.items()}
    return {**rows, **{f"{name}_unlabelled_rows": float(part.unlabelled) for name, part in named_parts.items()}}


def run_tags(plan: Plan, as_of: date, run_id: str, airflow_run_url: str) -> dict[str, str]:
    callers = {"mlops.run_id": run_id, "mlops.airflow_run_url": airflow_run_url}
    return {**_tags(plan, as_of), **{name: value for name, value in callers.items() if value}}


def version_tags(plan: Plan, as_of: date, metrics: Mapping[str, float], sha256: str) -> dict[str, str]:
    return {
        **_tags(plan, as_of),
        named.WINDOW: _between(plan.source.window),
        named.HOLDOUT: _between(plan.source.holdout),
        named.HOLDOUT_METRICS: json.dumps(dict(metrics)),
        named.MODEL_SHA256: sha256,
    }


def parameters(model: Model) -> dict[str, object]:
    """The specification, flat: `training.window: 56`."""

    def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in values.items():
            found |= flat(f"{prefix}{name}.", value) if isinstance(value, dict) else {f"{prefix}{name}": value}
        return found

    told = flat("", model.model_dump(mode="json"))
    return {name: value for name, value in told.items() if value not in (None, "", [])}


def datasets(plan: Plan, schema: pa.Schema, digest: str) -> list[DatasetUse]:
    """Both tables, for each part of the days. `digest` is that of the training rows."""
    source = plan.source
    columns = {name: _mlflow_type(schema.field(name).type) for name in (*source.keys, *plan.recipe.columns)}

    def use(pinned: Pinned, context: str, days: Interval, columns: Mapping[str, str]) -> DatasetUse:
        place = {"table": pinned.table, "tag": pinned.tag, "snapshot_id": pinned.snapshot_id, "days": _between(days)}
        unique = hashlib.sha256(f"{digest}{place}".encode()).hexdigest()[:16]
        return DatasetUse(pinned.table, context, unique, place, columns)

    parts = {"training": source.fitted, "validation": source.validation, "holdout": source.holdout}
    return [
        made
        for context, days in parts.items()
        if days
        for made in (use(source.features, context, days, columns), use(source.labels, context, days, {}))
    ]


def record(plan: Plan, as_of: date, fitted: Fitted, sha256: str) -> dict[str, Any]:
    """All that `reproduce` needs to train the version again."""
    return {
        "as_of": str(as_of),
        "recipe": plan.recipe.to_dict(),
        "workers": plan.workers,
        "share": plan.share,
        "source": plan.source.to_dict(),
        "packages": packages(),
        "code_revision": code_revision(),
        "digest": fitted.digest,
        "model_sha256": sha256,
    }


def artifact(fitted: Fitted, predictor: Predictor, rows: pa.Table) -> ModelArtifact:
    """The model file, with a few feature rows as its example."""
    kinds = {name: _mlflow_type(rows.schema.field(name).type) for name in predictor.columns}
    called = {name: ANY if kind in ("long", "boolean") else kind for name, kind in kinds.items()}
    return ModelArtifact(
        fitted.model, called, predictor.output_types, rows.select(list(called)).slice(0, 5).to_pylist()
    )


def description(
    model: Model, as_of: date, plan: Plan, fitted: Fitted, parts: Parts, metrics: Mapping[str, float]
) -> str:
    source = plan.source
    return (
        f"As of {as_of}: trained on {fitted.rows:,} rows of {source.fitted}, "
        f"judged on {len(parts.holdout.examples.labels):,} rows of {source.holdout}. "
        f"{model.gate.metric} {metrics[model.gate.metric]:.4f}. "
        f"Data: {source.features.table} and {source.labels.table} at the tag {source.features.tag}."
    )


def _tags(plan: Plan, as_of: date) -> dict[str, str]:
    source = plan.source
    return {
        named.AS_OF: str(as_of),
        named.TRAINING_KEY: plan.key,
        "mlops.spec_hash": plan.meaning,
        "mlops.code_revision": code_revision(),
        DATA_TAG: source.features.tag,
        FEATURES_TABLE: source.features.table,
        FEATURES_SNAPSHOT: str(source.features.snapshot_id),
        LABELS_TABLE: source.labels.table,
        LABELS_SNAPSHOT: str(source.labels.snapshot_id),
    }


def _mlflow_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long"
    return "double" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else "string"


def _between(days: Interval) -> str:
    return f"{days.first}..{days.last}"

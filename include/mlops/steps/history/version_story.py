"""What is known of a model version: its training, its data, and the decision that put it live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from include.mlops.errors import MlopsError
from include.mlops.ledger.releases import Decision
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_record import FEATURES_TABLE, RECORD
from include.mlops.steps.training.training_set import Source

Told = tuple[str, dict[str, Any], tuple[str, ...]]
"""What it is, what is known of it, what is wrong with it."""


def version_story(platform: Platform, model: Model, number: int) -> Told:
    what, decided = f"{model.name} v{number}", _decision(platform, model, number)
    released = {"release": "never decided; the version was named by hand"}
    if decided:
        released = {
            "release": f"{decided.outcome} as of {decided.ds} by {decided.actor}: {decided.reason}",
            **({"live from": first} if (first := decided.evidence.get("first_ds")) else {}),
        }
    try:
        version = platform.registry.version(model.name, number)
        source = Source.from_dict(json.loads(platform.registry.artifact(version, RECORD))["source"])
    except MlopsError as error:
        return what, released, (error.line(),)
    trained = {
        "as of": str(version.as_of),
        "training window": str(version.window),
        "holdout": str(version.holdout),
        "trained on": [f"{p.table} at snapshot {p.snapshot_id}, tag {p.tag}" for p in (source.features, source.labels)],
        "MLflow run": version.mlflow_run,
        "sha256": version.sha256,
        **_erased(platform, model, number),
    }
    return what, {**trained, **released}, ()


def _erased(platform: Platform, model: Model, number: int) -> dict[str, Any]:
    found = platform.ledger.erasures.of_version(model.name, number)
    told = [f"no. {one.id} of {one.day}: {one.rows_of(model.name, number)} row(s)" for one in found]
    return {"erased from its training set": told} if told else {}


def trained_on(platform: Platform, model: Model, group: FeatureGroup, ds: date) -> Iterator[Told]:
    """The versions that this day of features or labels trained or judged."""
    try:
        versions = platform.registry.versions(model.name)
    except MlopsError as error:
        yield f"versions of {model.name}", {}, (error.line(),)
        return
    for version in versions:
        if group.name == model.features.group and version.tags.get(FEATURES_TABLE) != group.table:
            continue
        part = "training window" if ds in version.window else "holdout" if ds in version.holdout else None
        if part:
            yield f"{model.name} v{version.number}", {"in its": part, "as of": str(version.as_of)}, ()


def _decision(platform: Platform, model: Model, number: int) -> Decision | None:
    decided = platform.ledger.releases.decisions(model.name)
    return next((d for d in reversed(decided) if d.version == number and d.action in ("promote", "reject")), None)

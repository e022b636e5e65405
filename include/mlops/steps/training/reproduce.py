"""Reproduce: train a version again from its record alone, and compare the model files byte for byte."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.mlops.errors import MlopsError, NotReproducible
from include.mlops.lake.erasing import erasure_of
from include.mlops.learner.recipe import Recipe
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.fitting import fitted
from include.mlops.steps.training.provenance import code_revision, packages
from include.mlops.steps.training.training_record import RECORD
from include.mlops.steps.training.training_set import Parts, Pinned, Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reproduced:
    """Training again gave the same file, with this hash."""

    model: str
    version: int
    sha256: str


def reproduce(platform: Platform, model: str, version: int) -> Reproduced:
    """`model` is a name: all else comes from the record. Raises NotReproducible, saying what differs."""
    registered = platform.registry.version(model, version)
    record = json.loads(platform.registry.artifact(registered, RECORD))
    source, recipe = Source.from_dict(record["source"]), Recipe.from_dict(record["recipe"])
    subject = f"{model} v{version}"
    _require_whole(platform, subject, model, version)
    features, labels = (_as_pinned(platform, subject, pinned) for pinned in (source.features, source.labels))
    source = replace(source, features=features, labels=labels)
    workers = record.get("workers", 1)
    parts = Parts.read(platform.lake, source, recipe.columns, record.get("share", 1.0))
    again = fitted(platform, source, recipe, workers, parts, lambda n, metrics: log.debug("round %d: %s", n, metrics))
    found = hashlib.sha256(again.model).hexdigest()
    if found != registered.sha256:
        raise NotReproducible(
            f"{subject}: expected the model file {registered.sha256}, found {found}. "
            + "; ".join(_differences(record, again.digest))
            + ". Install the recorded packages and check out the recorded code to get the same file"
        )
    log.info("%s was trained again and is the same file, sha256 %s", subject, found)
    return Reproduced(model, version, found)


def _require_whole(platform: Platform, subject: str, model: str, version: int) -> None:
    if erasures := platform.ledger.erasures.of_version(model, version):
        told = "; ".join(f"no. {one.id} of {one.day} took {one.rows_of(model, version)} row(s)" for one in erasures)
        raise NotReproducible(
            f"{subject}: its training set was changed by erasure {told}. Those rows are gone for good, so the same "
            "file cannot come of it again; train a new version on what is left"
        )


def _as_pinned(platform: Platform, subject: str, pinned: Pinned) -> Pinned:
    """The same rows where they lie now: an erasure of others' rows moves a tag too."""
    try:
        found = platform.lake.snapshot_of(pinned.table, pinned.tag)
    except MlopsError as error:
        if error.transient:
            raise
        raise NotReproducible(
            f"{subject}: its training data is gone: {error}. Tags keep snapshots; was this one dropped?"
        ) from error
    if found != pinned.snapshot_id and erasure_of(platform.lake, pinned.table, found) is None:
        raise NotReproducible(
            f"{subject}: expected the tag {pinned.tag} on {pinned.table} at {pinned.snapshot_id}, found {found}"
        )
    return replace(pinned, snapshot_id=found)


def _differences(record: Mapping[str, Any], digest: str) -> list[str]:
    now = {**packages(), "code": code_revision()}
    then = {**record["packages"], "code": record["code_revision"]}
    changed = [
        f"{name}: then {then.get(name, 'absent')}, now {now.get(name, 'absent')}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    data = (
        "the training rows are the same" if digest == record["digest"] else "the training rows or their encoding differ"
    )
    return [data, *(changed or ["packages and code are those recorded, so look at the processor and its threads"])]

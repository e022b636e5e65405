"""What was kept of rows beside the tables: monitoring profiles, examples, checkpoints, reports, observed values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.errors import MlopsError
from include.mlops.lake.checkpoints import forget_model
from include.mlops.learner.profile import from_parquet, to_parquet
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_record import REFERENCE

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def erase_from_artifacts(platform: Platform, keys: Mapping[str, str], versions: Collection[Mapping[str, Any]]) -> None:
    """Of every training: the profile without the rows, whether a version came of it or not. Of `versions`, whose
    training sets lost rows, and of their models: examples and checkpoints without any.
    """
    for model in sorted({*platform.registry.models(), *platform.specs.models}):
        for run_id in platform.registry.trainings_with(model, REFERENCE):
            profile = _profile(platform, model, run_id)
            if set(keys) <= set(profile.column_names):
                left = profile.filter(pc.invert(_hits(profile, keys)))
                if left.num_rows < profile.num_rows:
                    platform.registry.replace_artifact(run_id, REFERENCE, to_parquet(left))
    for told in versions:
        platform.registry.forget_example(platform.registry.version(told["model"], told["version"]))
    for model in sorted({told["model"] for told in versions}):
        forget_model(platform.settings.warehouse, model)


def _profile(platform: Platform, model: str, run_id: str) -> pa.Table:
    try:
        return from_parquet(platform.registry.artifact(run_id, REFERENCE))
    except pa.ArrowInvalid as error:
        raise MlopsError(
            f"expected {REFERENCE} of the training {run_id} of {model} in MLflow to be rows, found: {error}; delete "
            "that file where MLflow keeps it, then run the same command again"
        ) from error


def forget_shown(
    platform: Platform, keys: Mapping[str, str], days: Mapping[str, Collection[date]], tables: Collection[str]
) -> None:
    """Take out what was shown of rows: pages about `days`, examples that expectations observed on any day, refused ones
    included, and in messages. `tables`: all that could hold the key.
    """
    record, values = platform.ledger.publications, list(keys.values())
    groups = _groups(platform, keys, tables)
    for group, datasets in groups.items():
        touched = {ds for name in (f"quarantine.{group}", *datasets) for ds in days.get(name, ())}
        # Pages first: without the examples nobody knows any more which days they were of.
        shown = {ds for name in datasets for ds in record.days_with_examples(name, values)}
        _delete_pages(platform, f"validation/{group}", touched | shown)
        for name in datasets:
            record.forget_examples(name, values)
    _delete_drift_pages(platform, days)
    readers = [one.name for one in platform.specs.models.values() if {one.features.group, one.label.group} & {*groups}]
    scored = [name.partition(".")[2] for name in tables if name.startswith("predictions.")]
    platform.ledger.incidents.forget_key({*groups, *readers, *scored}, values)


def _delete_drift_pages(platform: Platform, days: Mapping[str, Collection[date]]) -> None:
    every = {ds for some in days.values() for ds in some}
    for folder in (platform.settings.reports / "drift").glob("*"):
        model = platform.specs.models.get(folder.name)
        if model is None:  # nobody knows any more what it read
            _delete_pages(platform, f"drift/{folder.name}", every)
            continue
        features = platform.specs.groups.get(model.features.group)
        touched = set(days.get(model.predictions, ())) | set(days.get(features.table, ()) if features else ())
        _delete_pages(platform, f"drift/{model.name}", touched)


def _groups(platform: Platform, keys: Mapping[str, str], tables: Collection[str]) -> dict[str, set[str]]:
    """{group: its datasets} of those that could show the key: by their tables, older versions included, and by their
    specifications, for a group whose days were all refused has no table.
    """
    found: dict[str, set[str]] = {}
    for name in tables:
        space, _, rest = name.partition(".")
        if space == "features":
            found.setdefault(rest.rpartition("_v")[0], set()).add(name)
        elif space == "quarantine":
            found.setdefault(rest, set())
    for group in platform.specs.groups.values():
        if set(keys) <= {*group.publishes, *group.source.columns} or group.name in found:
            found.setdefault(group.name, set()).add(group.table)
    return found


def _delete_pages(platform: Platform, folder: str, days: Collection[date]) -> None:
    for page in (platform.settings.reports / folder).glob("*.html"):
        named = [date.fromisoformat(text) for text in _DAY.findall(page.name)]
        if named and any(named[0] <= ds <= named[-1] for ds in days):
            page.unlink(missing_ok=True)


def _hits(rows: pa.Table, keys: Mapping[str, str]) -> pa.ChunkedArray:
    found = pa.chunked_array([pa.repeat(pa.scalar(True), rows.num_rows)])
    for column, text in keys.items():
        kind = rows.schema.field(column).type
        try:
            same = pc.equal(rows[column], pa.scalar(text).cast(kind))
        except pa.ArrowInvalid as error:
            raise MlopsError(f"expected a value of type {kind} for the key {column}, found another") from error
        found = pc.and_(found, pc.fill_null(same, False))
    return found

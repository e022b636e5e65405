"""What an erasure would take: rows by table and day, training sets and versions, and copies outside our hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.errors import MlopsError, SpecError
from include.mlops.lake import erasing, matching, snapshots
from include.mlops.lake.erasing import Held
from include.mlops.lake.matching import Match
from include.mlops.registry.version import Version
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.model import Model
from include.mlops.spec.nearest import allowed
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_record import DATA_TAG, FEATURES_TABLE, LABELS_TABLE


@dataclass(frozen=True)
class Changed:
    """A version whose training set loses `rows`."""

    model: str
    version: int
    rows: int


@dataclass(frozen=True)
class Planned:
    """`elsewhere` says in words what somebody must do where we have no hands. `unfinished`: it was begun before, under
    that number.
    """

    group: str
    columns: tuple[str, ...]
    tables: Mapping[str, Held]
    versions: tuple[Changed, ...]
    elsewhere: tuple[str, ...]
    unfinished: int | None = None

    @property
    def days(self) -> dict[str, list[date]]:
        """Those of each table whose rows readers see."""
        return {name: sorted(one.rows) for name, one in self.tables.items() if one.rows}

    def record(self) -> dict[str, Any]:
        """The tables as the ledger keeps them."""
        return {
            name: {
                "rows": {str(ds): n for ds, n in sorted(one.rows.items())},
                "tags": {tag: {str(ds): n for ds, n in sorted(days.items())} for tag, days in one.tags.items()},
            }
            for name, one in self.tables.items()
        }


def plan(platform: Platform, group: FeatureGroup, keys: Mapping[str, str]) -> Planned:
    """Changes nothing; reads every file that could hold such a row.

    Raises SpecError where `keys` are not among the group's or a specification is broken, MlopsError where a value is of
    another type.
    """
    if broken := platform.specs.findings:
        why = "an erasure would pass over what a broken specification describes; mend or remove these first, in"
        raise SpecError([f"{why} {platform.settings.specs}:", *map(str, broken)])
    if strange := [column for column in keys if column not in group.keys]:
        raise SpecError([allowed("key", strange[0], group.keys)])
    if not keys:
        raise SpecError([f"expected at least one key of {group.name}, such as {group.keys[0]}=VALUE, found none"])
    found = {name: erasing.held(platform.lake, name, match) for name, match in matches(platform, keys).items()}
    tables = {name: one for name, one in found.items() if one}
    begun = [one.id for one in platform.ledger.erasures.of_key(group.name, keys) if not one.finished_at]
    versions = tuple(_versions(platform, tables))
    elsewhere = tuple(_elsewhere(platform, group, tables))
    return Planned(group.name, tuple(keys), tables, versions, elsewhere, begun[-1] if begun else None)


def matches(platform: Platform, keys: Mapping[str, str]) -> dict[str, Match]:
    """Of the tables that bear all of the columns, and of the quarantines of groups that do."""
    found: dict[str, Match] = {}
    for name in snapshots.tables(platform.lake):
        if name.startswith("quarantine."):
            if _could_name(platform, name, keys):
                found[name] = matching.by_records(keys)
        elif match := _by_columns(platform, name, keys):
            found[name] = match
    return found


def _by_columns(platform: Platform, name: str, keys: Mapping[str, str]) -> Match | None:
    try:
        return matching.by_columns(platform.lake, name, keys)
    except FileNotFoundError as error:
        raise MlopsError(
            f"expected the metadata of the table {name}, which the lake's catalog names, found: {error}; an erasure "
            "would pass over its rows: restore it from a backup, or drop it from the catalog and delete its files"
        ) from error


def _could_name(platform: Platform, quarantine: str, keys: Mapping[str, str]) -> bool:
    group = platform.specs.groups.get(quarantine.partition(".")[2])
    return group is None or set(keys) <= set(group.source.columns)


def trained_on(version: Version, tables: Mapping[str, Mapping[str, Mapping[date, int]]]) -> int:
    """How many of the rows that `tables` ({table: {tag: {ds: n}}}) lose lie in a version's window or holdout."""
    if DATA_TAG not in version.tags:
        return 0
    tag, parts = version.tag(DATA_TAG), (version.window, version.holdout)
    read = {version.tags.get(FEATURES_TABLE), version.tags.get(LABELS_TABLE)} - {None}
    days = [(ds, n) for table in read for ds, n in tables.get(str(table), {}).get(tag, {}).items()]
    return sum(n for ds, n in days if any(ds in part for part in parts))


def _versions(platform: Platform, tables: Mapping[str, Held]) -> list[Changed]:
    """Of all registered models: one whose specification was removed keeps its versions."""
    tags = {name: one.tags for name, one in tables.items() if one.tags}
    if not tags:
        return []
    return [
        Changed(model, version.number, rows)
        for model in platform.registry.models()
        for version in platform.registry.versions(model)
        if (rows := trained_on(version, tags))
    ]


def _elsewhere(platform: Platform, group: FeatureGroup, tables: Mapping[str, Held]) -> list[str]:
    sources = [
        f"what {other.name} is made from ({_place(platform, other)}): a day that is ingested again brings its rows back"
        for other in platform.specs.groups.values()
        if other.name == group.name or other.table in tables
    ]
    exports = [line for model in platform.specs.models.values() for line in _exports(model, tables)]
    learnt = (
        "model files and numbers computed of many rows (features over history, metrics, plots, drift): they hold no "
        "row, and stay; train again to have a model that never saw it"
    )
    copies = (
        "copies that others took of the lake, backups, versions that a bucket keeps of deleted objects, servers' logs, "
        "messages that went to Slack, what Airflow keeps of its tasks"
    )
    return [*sources, *exports, learnt, copies]


def _place(platform: Platform, group: FeatureGroup) -> str:
    source = group.source
    return f"{platform.settings.landing}/{source.path}" if source.path else source.format


def _exports(model: Model, tables: Mapping[str, Held]) -> list[str]:
    held = tables.get(model.predictions)
    if not (held and held.rows and model.exports):
        return []
    first, last = min(held.rows), max(held.rows)
    places = ", ".join(f"{one.kind} {one.place}" for one in model.exports)
    line = (
        f"exported scores ({places}): run python -m include.mlops export {model.name} --from {first} --to {last}, "
        "which writes these days again"
    )
    return [line]

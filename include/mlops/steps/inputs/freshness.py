"""Which published partitions no longer equal what would be made now, and why.

A few queries for a whole interval; a landed file is read again only where its size or time changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.ledger.publications import Publication
from include.mlops.policy.staleness import ABSENT, FILE, Made, stale_because
from include.mlops.sources.landing import address, identity, same_file
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import group_meaning
from include.mlops.spec.model import Model
from include.mlops.steps.inputs.inputs import reads_of
from include.mlops.steps.platform import Platform


@dataclass(frozen=True)
class Compared:
    """What a published partition was made of, and what it would be made of now."""

    then: Made
    now: Made


def stale(platform: Platform, subject: FeatureGroup | Model, interval: Interval) -> dict[date, str]:
    """The published days of a group, or the scored days of a model, that should be made again, each with the reason.

    Days that were published before digests were kept are judged by what is known of them.
    """
    return _stale(compared(platform, subject, interval), subject.name)


def overtaken(platform: Platform, subject: FeatureGroup | Model, interval: Interval) -> dict[date, str]:
    """As `stale`, but for what was read of other tables alone: not for code, a file or a live version that changed."""
    found = compared(platform, subject, interval)
    return _stale({ds: Compared(_tables(one.then), _tables(one.now)) for ds, one in found.items()}, subject.name)


def stale_measured(platform: Platform, model: Model, dataset: str, interval: Interval) -> dict[date, str]:
    """The days of `dataset` (`model.drift` or `model.performance`) that were measured on what has other rows now."""
    record = platform.ledger.publications
    published = record.over(dataset, interval)
    tables = sorted({table for one in published.values() for table in one.inputs})
    now = {table: record.over(table, interval) for table in tables}
    found = {
        ds: Compared(_then(one), Made(inputs={table: _digests({ds: now[table].get(ds)}) for table in one.inputs}))
        for ds, one in published.items()
    }
    return _stale(found, model.name)


def compared(platform: Platform, subject: FeatureGroup | Model, interval: Interval) -> dict[date, Compared]:
    """For each published day of `interval` what it was made of, and what it would be made of now."""
    if isinstance(subject, FeatureGroup):
        return _of_group(platform, subject, interval)
    return _of_model(platform, subject, interval)


def _stale(found: Mapping[date, Compared], name: str) -> dict[date, str]:
    reasons = {ds: stale_because(one.then, one.now, name) for ds, one in sorted(found.items())}
    return {ds: reason for ds, reason in reasons.items() if reason}


def _tables(made: Made) -> Made:
    return Made(inputs={table: days for table, days in made.inputs.items() if table != FILE})


def _of_group(platform: Platform, group: FeatureGroup, interval: Interval) -> dict[date, Compared]:
    published = platform.ledger.publications.over(group.table, interval)
    if not published:
        return {}
    meaning, reads = group_meaning(group), reads_of(platform, group, interval)
    found = {}
    for ds, one in published.items():
        tables = {read.other.table: _digests({day: read.published.get(day) for day in read.days(ds)}) for read in reads}
        file = _file_now(platform, group, ds, one.inputs.get(FILE))
        now = Made(meaning, {**tables, FILE: {ds: file}} if file else tables)
        found[ds] = Compared(_then(one, meaning=one.meaning), now)
    return found


def _of_model(platform: Platform, model: Model, interval: Interval) -> dict[date, Compared]:
    """The features that a day would read now are those it read, unless another version is live for it."""
    record = platform.ledger.publications
    published = record.over(model.predictions, interval)
    tables = {table for one in published.values() for table in one.inputs}
    features = {table: record.over(table, interval) for table in sorted(tables)}
    live = platform.ledger.releases.intervals(model.name) if published else []
    found = {}
    for ds, one in published.items():
        inputs = {table: _digests({ds: features[table].get(ds)}) for table in one.inputs}
        versions = [row.version for row in live if row.first_ds <= ds and (row.last_ds is None or ds <= row.last_ds)]
        now = Made(inputs=inputs, version=versions[-1] if versions else None)
        found[ds] = Compared(_then(one, version=one.version), now)
    return found


def _then(one: Publication, *, meaning: str | None = None, version: int | None = None) -> Made:
    inputs = {table: _recorded(told) for table, told in one.inputs.items() if table != FILE}
    if sha256 := one.inputs.get(FILE, {}).get("sha256"):
        inputs[FILE] = {one.ds: sha256}
    return Made(meaning, inputs, version)


def _recorded(told: Mapping[str, Any]) -> dict[date, str]:
    known = {date.fromisoformat(ds): digest for ds, digest in told.get("partitions", {}).items() if digest}
    return {**known, **dict.fromkeys(map(date.fromisoformat, told.get("missing", ())), ABSENT)}


def _digests(published: Mapping[date, Publication | None]) -> dict[date, str]:
    found = {ds: one.digest if one else ABSENT for ds, one in published.items()}
    return {ds: digest for ds, digest in found.items() if digest is not None}


def _file_now(platform: Platform, group: FeatureGroup, ds: date, told: Mapping[str, Any] | None) -> str | None:
    """The hash of the file that is there now; None where none is (it was archived) or none was recorded."""
    if not told or not told.get("sha256"):
        return None
    url = address(platform.settings, group, ds)
    sha256: str | None = told["sha256"] if same_file(url, told) else identity(url)["sha256"]
    return sha256

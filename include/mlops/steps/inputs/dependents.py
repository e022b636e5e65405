"""What was made from a partition, and which of it is out of date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from include.mlops.policy.backfill import runs
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.load import Specs
from include.mlops.spec.meaning import group_meaning
from include.mlops.spec.model import Model
from include.mlops.steps.inputs.freshness import stale, stale_measured
from include.mlops.steps.platform import Platform

Kind = Literal["group", "scores", "drift", "performance"]


@dataclass(frozen=True)
class Stale:
    """Days of a group, or of a model's scores or performance, that should be made again, each with the reason."""

    kind: Kind
    name: str
    days: dict[date, str]
    commands: tuple[str, ...]

    @property
    def what(self) -> str:
        return self.name if self.kind == "group" else f"{self.kind} of {self.name}"

    def line(self) -> str:
        first = min(self.days)
        return f"{self.what}: {len(self.days)} day(s) out of date, such as {first}: {self.days[first]}"


def reached(reader: FeatureGroup, name: str, interval: Interval) -> Interval:
    """The days of `reader` that read any day of `interval` of the group `name`."""
    first, last = reader.reads[name]
    return interval.lagged((-last, -first))


def stale_dependents(platform: Platform, group: FeatureGroup, interval: Interval) -> list[Stale]:
    """What was made directly from those days of `group` and is out of date, for whatever reason."""
    found = [
        stale_group(platform, reader, reached(reader, group.name, interval))
        for reader in platform.specs.readers(group.name)
    ]
    for model in platform.specs.models.values():
        if model.features.group == group.name:
            found += [stale_scores(platform, model, interval), stale_drift(platform, model, interval)]
        if model.label.group == group.name:
            found.append(stale_performance(platform, model, interval))
    return [one for one in found if one.days]


def stale_everywhere(platform: Platform, name: str | None, interval: Interval | None) -> list[Stale]:
    """What is out of date of all groups and models, or of the one of that name; of all days, or of those."""
    record = platform.ledger.publications
    found: list[Stale] = []
    for group in in_order(platform.specs):
        if name in (None, group.name) and (days := interval or record.extent(group.table)):
            found += [stale_group(platform, group, days)]
    for model in platform.specs.models.values():
        if name in (None, model.name) and (days := interval or record.extent(model.predictions)):
            found += [find(platform, model, days) for find in (stale_scores, stale_drift, stale_performance)]
    return [one for one in found if one.days]


def in_order(specs: Specs) -> list[FeatureGroup]:
    """All groups, each after those that it reads."""
    ordered: dict[str, FeatureGroup] = {}

    def add(group: FeatureGroup) -> None:
        for other in group.reads:
            if other not in ordered:
                add(specs.group(other))
        ordered[group.name] = group

    for group in specs.groups.values():
        if group.name not in ordered:
            add(group)
    return list(ordered.values())


def stale_group(platform: Platform, group: FeatureGroup, interval: Interval) -> Stale:
    days = stale(platform, group, interval)
    known = platform.ledger.publications.meaning(group.table) if days else None
    changed = bool(days) and known not in (None, group_meaning(group))
    verb, more = ("restate", " --reason WHY") if changed else ("ingest", "")
    return Stale("group", group.name, days, _commands(f"{verb} {group.name}", days, more))


def stale_scores(platform: Platform, model: Model, interval: Interval) -> Stale:
    days = stale(platform, model, interval)
    return Stale("scores", model.name, days, _commands(f"score {model.name}", days))


def stale_drift(platform: Platform, model: Model, interval: Interval) -> Stale:
    days = stale_measured(platform, model, model.drift, interval)
    return Stale("drift", model.name, days, _commands(f"monitor {model.name}", days))


def stale_performance(platform: Platform, model: Model, interval: Interval) -> Stale:
    days = stale_measured(platform, model, model.performance, interval)
    return Stale("performance", model.name, days, _commands(f"performance {model.name}", days))


def in_runs(days: Iterable[date]) -> list[Interval]:
    """Days that follow each other, as intervals."""
    return [Interval(*run) for run in runs(days)]


def _commands(what: str, days: Iterable[date], more: str = "") -> tuple[str, ...]:
    return tuple(f"python -m include.mlops {what} --from {run.first} --to {run.last}{more}" for run in in_runs(days))

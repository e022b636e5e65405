"""What a backfill would compute: each day of what was asked for, and of what depends on it, judged by the ledger."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from include.mlops.errors import MlopsError, SpecError
from include.mlops.policy.backfill import Facts, Kind, Order, Part, Plan, lines, part
from include.mlops.policy.staleness import stale_because
from include.mlops.registry.version import Version
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import group_meaning
from include.mlops.spec.model import Model
from include.mlops.spec.nearest import allowed
from include.mlops.steps.inputs.dependents import in_order, reached
from include.mlops.steps.inputs.freshness import compared, stale, stale_measured
from include.mlops.steps.inputs.inputs import Read, reads_of
from include.mlops.steps.inputs.readiness import missing_at_source
from include.mlops.steps.platform import Platform
from include.mlops.steps.report import write_report
from include.mlops.steps.training.training_record import FEATURES_TABLE

Coming = Mapping[str, Container[date]]
"""By dataset the days that earlier parts of the same run make."""


@dataclass(frozen=True)
class Piece:
    """A part of the work before its days are judged."""

    kind: Kind
    name: str
    interval: Interval


def plan(platform: Platform, order: Order, run_id: str) -> Plan:
    """Judge every day. Days that this very run made before it was stopped are `done`.

    Raises MlopsError for a form that nothing can be made of, SpecError where `what` is not there.
    """
    if order.first > order.last:
        raise MlopsError(f"expected the first day before the last, found {order.first} and {order.last}")
    parts: list[Part] = []
    coming: dict[str, set[date]] = {}
    for piece in pieces(platform, order):
        parts.append(judged(platform, piece, order, run_id, coming))
        coming[dataset(platform, piece)] = set(parts[-1].computed)
    return Plan(order, tuple(parts))


def pieces(platform: Platform, order: Order) -> list[Piece]:
    """What was asked for, then what depends on it where that is computed too; each after what it reads."""
    interval, specs = Interval(order.first, order.last), platform.specs
    if not {order.what} & {*specs.groups, *specs.broken_groups, *specs.models, *specs.broken_models}:
        raise SpecError([allowed("feature group or model", order.what, {*specs.groups, *specs.models})])
    if order.what in {*specs.models, *specs.broken_models}:
        specs.model(order.what)
        return [Piece("scores", order.what, interval), Piece("performance", order.what, interval)]
    if order.version is not None:
        raise MlopsError(f"expected no version for the feature group {order.what}, found {order.version}; name a model")
    found = [Piece("group", specs.group(order.what).name, interval)]
    return found + (list(_dependents(platform, order.what, interval)) if order.dependents == "compute" else [])


def consumers(platform: Platform, group: FeatureGroup, interval: Interval) -> list[Piece]:
    """What the events of those days of `group` start: scores by its features, performance by its labels."""
    models = platform.specs.models.values()
    scores = [Piece("scores", model.name, interval) for model in models if model.features.group == group.name]
    return scores + [Piece("performance", model.name, interval) for model in models if model.label.group == group.name]


def dataset(platform: Platform, piece: Piece | Part) -> str:
    """The name under which the ledger records what a part makes."""
    if piece.kind == "group":
        return platform.specs.group(piece.name).table
    model = platform.specs.model(piece.name)
    return model.predictions if piece.kind == "scores" else model.performance


def judged(platform: Platform, piece: Piece, order: Order, run_id: str, coming: Coming) -> Part:
    """The days of one part as they stand now."""
    facts: Iterator[Facts]
    if piece.kind == "group":
        facts = _of_group(platform, platform.specs.group(piece.name), piece.interval, order, coming)
    elif piece.kind == "scores":
        facts = _of_scores(platform, platform.specs.model(piece.name), piece.interval, order, coming)
    else:
        facts = _of_performance(platform, platform.specs.model(piece.name), piece.interval, coming)
    made = platform.ledger.publications.over(dataset(platform, piece), piece.interval)
    mine = {ds for ds, one in made.items() if one.run_id == run_id}
    asked = Interval(order.first, order.last)
    seen = (replace(one, by_this_run=one.ds in mine) for one in facts if one.published or one.ds in asked)
    return part(piece.kind, piece.name, seen, order.only)


def report(platform: Platform, plan: Plan, run_id: str) -> str:
    """Write the plan as a page; returns its path below the reports folder."""
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in run_id)
    return write_report(
        platform.settings, "plan.html", f"bulk/{name}.html", plan=plan, parts=[(one, lines(one)) for one in plan.parts]
    )


def _dependents(platform: Platform, name: str, interval: Interval) -> Iterator[Piece]:
    changed = {name: interval}
    for reader in in_order(platform.specs):
        hulls = [reached(reader, other, changed[other]) for other in reader.reads if other in changed]
        if hulls and (found := _hull([interval, *hulls]).from_(reader.first_partition)):
            changed[reader.name] = found
            yield Piece("group", reader.name, found)
    for model in platform.specs.models.values():
        scored, labelled = changed.get(model.features.group), changed.get(model.label.group)
        if scored:
            yield Piece("scores", model.name, scored)
        if both := [one for one in (scored, labelled) if one]:
            yield Piece("performance", model.name, _hull(both))


def _of_group(
    platform: Platform, group: FeatureGroup, interval: Interval, order: Order, coming: Coming
) -> Iterator[Facts]:
    record = platform.ledger.publications
    published = record.over(group.table, interval)
    old, reads = stale(platform, group, interval), reads_of(platform, group, interval)
    changed = _changed(platform, group, order)
    for ds in interval:
        unread = [f"{read.other.name} of {day}" for read in reads for day in _unpublished(read, ds, coming)]
        goes_on = group.schedule.late == "go_on"
        made = [read.other.name for read in reads if _any(read.days(ds), coming.get(read.other.table, ()))]
        left = ds in published and ds not in old and not made and order.only != "all"  # its source need not be asked
        lacks = "" if left else changed or _lacks(platform, group, ds)
        lacks = lacks or ("" if goes_on else _listed("waits for", unread))
        yield Facts(
            ds,
            published=ds in published,
            stale=old.get(ds, ""),
            reads_made=", ".join(made),
            lacks=lacks,
            without=_listed("", unread) if goes_on else "",
        )


def _of_scores(platform: Platform, model: Model, interval: Interval, order: Order, coming: Coming) -> Iterator[Facts]:
    published = platform.ledger.publications.over(model.predictions, interval)
    chosen = _versions(platform, model, interval, order.version)
    versions = {number: platform.registry.version(model.name, number) for number in sorted(set(chosen.values()))}
    tables = {number: version.tag(FEATURES_TABLE) for number, version in versions.items()}
    features = {table: platform.ledger.publications.over(table, interval) for table in set(tables.values())}
    old = _stale_scores(platform, model, interval, order.version)
    for ds in interval:
        version = versions.get(chosen.get(ds, 0))
        table = tables[version.number] if version else ""
        read = coming.get(table, ())
        yield Facts(
            ds,
            published=ds in published,
            stale=old.get(ds, ""),
            reads_made=table if ds in read else "",
            lacks=_no_features(version, table, there=ds in features.get(table, ()) or ds in read),
            in_sample=bool(version and (ds in version.window or ds in version.holdout)),
        )


def _of_performance(platform: Platform, model: Model, interval: Interval, coming: Coming) -> Iterator[Facts]:
    """Of days that are scored and labelled, or will be; no other day is measured."""
    record, labels = platform.ledger.publications, platform.specs.group(model.label.group).table
    there = {table: record.over(table, interval) for table in (model.predictions, labels, model.performance)}
    old = stale_measured(platform, model, model.performance, interval)
    for ds in interval:
        read = {table: ds in coming.get(table, ()) for table in (model.predictions, labels)}
        if all(ds in there[table] or made for table, made in read.items()):
            yield Facts(
                ds,
                published=ds in there[model.performance],
                stale=old.get(ds, ""),
                reads_made=", ".join(table for table, made in read.items() if made),
            )


def _versions(platform: Platform, model: Model, interval: Interval, named: int | None) -> dict[date, int]:
    if named is not None:
        return dict.fromkeys(interval, named)
    found: dict[date, int] = {}
    for live in platform.ledger.releases.intervals(model.name):
        last = min(live.last_ds or interval.last, interval.last)
        if last >= max(live.first_ds, interval.first):
            found |= dict.fromkeys(Interval(max(live.first_ds, interval.first), last), live.version)
    return found


def _stale_scores(platform: Platform, model: Model, interval: Interval, named: int | None) -> dict[date, str]:
    """As `stale`, but against the version that is named, where one is."""
    if named is None:
        return stale(platform, model, interval)
    found: dict[date, str] = {}
    for ds, one in compared(platform, model, interval).items():
        other = f"v{named} is named, it was scored by v{one.then.version}" if one.then.version != named else None
        inputs = stale_because(replace(one.then, version=None), one.now, model.name)
        if told := "; ".join(filter(None, [other, inputs])):
            found[ds] = told
    return found


def _no_features(version: Version | None, table: str, *, there: bool) -> str:
    if version is None:
        return "no version is live for it and none is named"
    return "" if there else f"waits for {table}"


def _changed(platform: Platform, group: FeatureGroup, order: Order) -> str:
    """Why rows of the group's version may not be published, as `require_meaning` will have it."""
    known = platform.ledger.publications.meaning(group.table)
    if order.reason or known in (None, group_meaning(group)):
        return ""
    return f"its code changed under version {group.version}: raise the version, or give a reason to restate it"


def _lacks(platform: Platform, group: FeatureGroup, ds: date) -> str:
    if ds < group.first_partition:
        return f"lies before {group.first_partition}, the first of {group.name}"
    if not missing_at_source(platform, group, Interval.day(ds)):
        return ""
    return f"waits for its file, {group.source.path}" if group.source.path else "waits for its rows at the source"


def _unpublished(read: Read, ds: date, coming: Coming) -> list[date]:
    made = coming.get(read.other.table, ())
    return [day for day in read.days(ds) if day not in read.published and day not in made]


def _any(days: list[date], among: Container[date]) -> bool:
    return any(day in among for day in days)


def _listed(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{verb} {', '.join(names[:2])}{more}".strip()


def _hull(intervals: list[Interval]) -> Interval:
    return Interval(min(one.first for one in intervals), max(one.last for one in intervals))

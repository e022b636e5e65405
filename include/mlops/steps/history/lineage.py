"""The story of one partition: from the landed files to the scores, and what was made from it in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.mlops.ledger.publications import Publication
from include.mlops.policy.staleness import FILE
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.history.version_story import trained_on, version_story
from include.mlops.steps.inputs.dependents import reached
from include.mlops.steps.inputs.freshness import stale, stale_measured
from include.mlops.steps.inputs.incomplete import made_without
from include.mlops.steps.inputs.readiness import missing
from include.mlops.steps.platform import Platform


@dataclass(frozen=True)
class Story:
    """One thing: what is known of it (plain values), what is wrong with it (in words), and what it was made from."""

    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    made_from: tuple[Story, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The story of a partition, and of what was made from it."""

    partition: Story
    used_by: tuple[Story, ...]


def lineage(platform: Platform, subject: FeatureGroup | Model, ds: date) -> Lineage:
    """Works for days that are not published, too, and says then what they wait for."""
    if isinstance(subject, Model):
        return Lineage(_scores(platform, subject, ds), tuple(_measured(platform, subject, ds)))
    return Lineage(_partitions(platform, subject.table, [ds]), tuple(_dependents(platform, subject, ds)))


def _scores(platform: Platform, model: Model, ds: date) -> Story:
    what, day = f"scores of {model.name}, {ds}", Interval.day(ds)
    history = platform.ledger.publications.history(model.predictions, ds)
    if not history:
        return _no_scores(platform, model, ds, f"{what}: not published")
    _, one = history[-1]
    gate = platform.ledger.monitoring.metrics(model.name, "score").get(ds, {})
    facts = {
        **_published(one, history),
        "in sample": one.in_sample,
        "gate": f"passed, scores {_number(gate.get('minimum'))} to {_number(gate.get('maximum'))}, "
        f"mean {_number(gate.get('mean'))}",
    }
    version = [Story(*version_story(platform, model, one.version))] if one.version else []
    features = [_partitions(platform, table, [ds]) for table in one.inputs]
    return Story(what, facts, tuple(stale(platform, model, day).values()), (*version, *features))


def _no_scores(platform: Platform, model: Model, ds: date, what: str) -> Story:
    features = _partitions(platform, platform.specs.group(model.features.group).table, [ds])
    live = platform.ledger.releases.live(model.name, ds)
    wrong = [] if live else [f"no version is live for {ds}; name one with --version"]
    if not features.facts:
        wrong.append("its features are not published")
    if not wrong:
        wrong.append(f"run: python -m include.mlops score {model.name} --from {ds} --to {ds}")
    return Story(what, {}, tuple(wrong), (features,))


def _partitions(platform: Platform, table: str, days: Collection[date]) -> Story:
    """One partition of a group with all that is known of it, or many of them together."""
    hull = Interval(min(days), max(days))
    found = {ds: one for ds, one in platform.ledger.publications.over(table, hull).items() if ds in days}
    group = _group(platform, table)
    if not found:
        return Story(f"{table}, {hull}: not published", {}, _waits_for(platform, group, hull) if group else ())
    what = f"{table}, {hull}" if len(days) == 1 else f"{table}, {len(days)} days from {hull.first} to {hull.last}"
    out_of_date = stale(platform, group, hull) if group else {}
    wrong = [reason if len(days) == 1 else f"{ds}: {reason}" for ds, reason in out_of_date.items() if ds in found]
    wrong += [f"{ds}: not published" for ds in sorted(set(days) - set(found))]
    wrong += [f"{ds}: made without {one}" for ds in sorted(found) for one in made_without(found[ds].inputs)]
    facts = _facts(platform, table, found)
    return Story(what, facts, tuple(wrong), tuple(_inputs(platform, list(found.values()))))


def _facts(platform: Platform, table: str, found: Mapping[date, Publication]) -> dict[str, Any]:
    if len(found) > 1:
        return {
            "rows": sum(one.rows for one in found.values()),
            "quarantined": sum(one.quarantined for one in found.values()),
            "meanings": sorted({one.meaning for one in found.values()}),
            "digests": {str(ds): one.digest for ds, one in sorted(found.items())},
        }
    ((ds, one),) = found.items()
    kept = platform.ledger.publications.validations(table, ds)
    judged = {(r.expectation, r.target): r for r in kept if r.run_id == one.run_id}
    failed = [f"{r.expectation} ({r.target}): {r.observed}" for r in judged.values() if not r.success]
    return {
        **_published(one, platform.ledger.publications.history(table, ds)),
        "quarantined": one.quarantined,
        "meaning": one.meaning,
        "expectations": f"{len(judged) - len(failed)} of {len(judged)} met",
        **({"not met": failed} if failed else {}),
    }


def _published(one: Publication, history: list[Any]) -> dict[str, Any]:
    at, _ = history[-1]
    times = {"times published": len(history)} if len(history) > 1 else {}
    kept = one.digest or "not kept when it was published"
    when = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return {
        "rows": one.rows,
        "published": when,
        **times,
        "run": one.run_id,
        "snapshot": one.snapshot_id,
        "digest": kept,
    }


def _inputs(platform: Platform, made: list[Publication]) -> Iterator[Story]:
    files = {told["path"]: told["sha256"] for one in made if (told := one.inputs.get(FILE))}
    if files:
        paths = sorted(files)
        what = f"file {paths[0]}" if len(paths) == 1 else f"{len(paths)} files from {paths[0]} to {paths[-1]}"
        yield Story(what, {"sha256": files[paths[0]] if len(paths) == 1 else {path: files[path] for path in paths}})
    days: defaultdict[str, set[date]] = defaultdict(set)
    for one in made:
        for table, told in one.inputs.items():
            if table != FILE:
                days[table] |= {date.fromisoformat(ds) for ds in told.get("partitions", ())}
    for table, read in days.items():
        if read:
            yield _partitions(platform, table, read)
            continue
        snapshots = sorted({str(one.inputs[table].get("snapshot_id")) for one in made if table in one.inputs})
        yield Story(f"{table}: which of its partitions were read was not kept", {"snapshots": snapshots})


def _waits_for(platform: Platform, group: FeatureGroup, interval: Interval) -> tuple[str, ...]:
    lacking = [f"waits for {one}" for one in missing(platform, group, interval)]
    run = f"run: python -m include.mlops ingest {group.name} --from {interval.first} --to {interval.last}"
    return tuple(lacking) or (run,)


def _dependents(platform: Platform, group: FeatureGroup, ds: date) -> Iterator[Story]:
    """What names this partition among its inputs."""
    for reader in platform.specs.readers(group.name):
        days = reached(reader, group.name, Interval.day(ds))
        published = platform.ledger.publications.over(reader.table, days)
        using = sorted(day for day, one in published.items() if _read(one, group.table, ds))
        if using:
            reasons = {day: reason for day, reason in stale(platform, reader, days).items() if day in using}
            wrong = tuple(f"{day}: {reason}" for day, reason in reasons.items())
            yield Story(f"{reader.table}, {len(using)} days from {using[0]} to {using[-1]}", {}, wrong)
    for model in platform.specs.models.values():
        day = Interval.day(ds)
        if model.features.group == group.name:
            scored = platform.ledger.publications.over(model.predictions, day).get(ds)
            if scored and _read(scored, group.table, ds):
                wrong = tuple(stale(platform, model, day).values())
                yield Story(f"scores of {model.name}, {ds}", {"rows": scored.rows, "version": scored.version}, wrong)
        if model.label.group == group.name:
            yield from _measured(platform, model, ds)
        if group.name in (model.features.group, model.label.group):
            yield from (Story(*told) for told in trained_on(platform, model, group, ds))


def _read(one: Publication, table: str, ds: date) -> bool:
    return str(ds) in one.inputs.get(table, {}).get("partitions", {})


def _measured(platform: Platform, model: Model, ds: date) -> Iterator[Story]:
    day = Interval.day(ds)
    if ds in platform.ledger.publications.over(model.performance, day):
        values = platform.ledger.monitoring.metrics(model.name, "performance").get(ds, {})
        wrong = tuple(stale_measured(platform, model, model.performance, day).values())
        yield Story(
            f"performance of {model.name}, {ds}", {name: _number(value) for name, value in values.items()}, wrong
        )
    drift = [v for v in platform.ledger.monitoring.verdicts(model.name, "drift", ds) if v.ds == ds]
    for verdict in drift:
        state = "confirmed" if verdict.confirmed else "seen" if verdict.bad else "none"
        wrong = tuple(stale_measured(platform, model, model.drift, day).values())
        yield Story(
            f"drift of {model.name}, {ds}", {"drift": state, "columns": verdict.detail.get("drifted", [])}, wrong
        )


def _group(platform: Platform, table: str) -> FeatureGroup | None:
    return next((group for group in platform.specs.groups.values() if group.table == table), None)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

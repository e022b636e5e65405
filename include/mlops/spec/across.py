"""What one file alone cannot tell: whether groups and models fit each other.

A rule looks only at the parts that it names in `_has`, so that a file with another fault still gets all of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.finding import Fault
from include.mlops.spec.model import Model
from include.mlops.spec.nearest import allowed
from include.mlops.spec.tasks import STAMPS, TASKS, WATCHED, output_columns

Groups = Mapping[str, FeatureGroup]
_FEATURE_TYPES = ("string", "int", "long", "double", "boolean")
_ALIKE = {"int": "number", "long": "number"}


def group_faults(name: str, group: FeatureGroup, groups: Groups) -> list[Fault]:
    """Faults of the group in folder `name` against `groups` (those that are valid alone, by folder)."""
    return [
        *_read_faults(name, group, groups),
        *_source_faults(group, groups),
        *_named_faults(group, name, "folder"),
    ]


def model_faults(name: str, model: Model, groups: Groups) -> list[Fault]:
    """Faults of the model in file `name`.yaml against `groups` (those that are valid alone, by folder)."""
    features = groups.get(model.features.group) if _has(model, "features") else None
    labels = groups.get(model.label.group) if _has(model, "label") else None
    faults = list(_named_faults(model, name, "file"))
    if features:
        faults += _feature_faults(model, features)
        faults += [*_monotone_faults(model, features), *_export_faults(model, features)]
    if labels:
        faults += _label_faults(model, labels)
    if features and labels:
        faults += _leaks(model, features, groups) or _join_faults(features, labels)
    return faults


def export_faults(name: str, models: Mapping[str, Model]) -> Iterator[Fault]:
    """Exports of the model in file `name`.yaml to a place that another of `models` writes to as well."""
    if not _has(models[name], "exports"):
        return
    theirs = {
        export.place: other
        for other, model in models.items()
        if other != name and _has(model, "exports")
        for export in model.exports
    }
    for number, export in enumerate(models[name].exports):
        if other := theirs.get(export.place):
            yield Fault(
                ("exports", number, export.kind), f"expected a place of its own, found one of the model {other}"
            )


def reads_path(start: str, groups: Groups) -> list[str]:
    """A way along `reads` from `start` back to itself, such as [a, b, a]; empty where there is none."""
    paths = [[start]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for other in groups[path[-1]].reads if path[-1] in groups else ():
            if other == start:
                return [*path, other]
            if other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return []


def _named_faults(spec: FeatureGroup | Model, name: str, what: str) -> Iterator[Fault]:
    if _has(spec, "name") and spec.name != name:
        yield Fault(("name",), f"expected '{name}', the name of its {what}, found '{spec.name}'; rename one")


def _read_faults(name: str, group: FeatureGroup, groups: Groups) -> Iterator[Fault]:
    if not _has(group, "reads"):
        return
    for other, (_, last) in group.reads.items():
        loc = ("reads", other)
        if other == name:
            yield Fault(loc, "a group cannot read itself")
            continue
        if other not in groups:
            continue
        if cycle := _cycle_through(name, other, group, groups):
            yield Fault(loc, f"groups read each other in a circle: {' -> '.join(cycle)}; none could ever start")
        read = groups[other]
        if _has(group, "timezone") and read.timezone != group.timezone:
            yield Fault(loc, f"expected a group in {group.timezone} too, found {read.timezone}: their days differ")
        if _has(group, "schedule") and last + read.schedule.delay > group.schedule.delay:
            latest = group.schedule.delay - read.schedule.delay
            message = (
                f"the lag ends at {last}d, but {other} publishes a day {read.schedule.delay}d after it and {name} runs "
                f"{group.schedule.delay}d after its own: it would always wait; the latest end is {latest}d"
            )
            yield Fault(loc, message)


def _source_faults(group: FeatureGroup, groups: Groups) -> Iterator[Fault]:
    tables = {other.table: name for name, other in groups.items()}
    if _has(group, "source") and (other := tables.get(group.source.table)):
        message = f"the table of the feature group {other}: a source of its own would not see it as of each cut-off"
        yield Fault(("source", "table"), f"{message}; name it under reads:")


def _cycle_through(name: str, other: str, group: FeatureGroup, groups: Groups) -> list[str]:
    path = reads_path(name, {**groups, name: group})
    return path if other in path else []


def _feature_faults(model: Model, group: FeatureGroup) -> Iterator[Fault]:
    version = model.features.version or group.version
    if version > group.version:
        message = f"expected at most {group.version}, the version of {group.name}, found {version}"
        yield Fault(("features", "version"), message)
    if version < group.version:
        return  # what an older version published is not in the file any more
    for number, column in enumerate(model.features.columns):
        loc = ("features", "columns", number)
        if column in WATCHED:
            yield Fault(loc, f"'{column}' is a column of the predictions; publish the feature under another name")
        if column not in group.publishes:
            yield Fault(loc, allowed(f"column of {group.name}", column, group.publishes))
        elif group.publishes[column] not in _FEATURE_TYPES:
            kind = group.publishes[column]
            message = f"expected a column of numbers, booleans or texts, found {column} of type {kind}"
            yield Fault(loc, f"{message}; publish a number made from it")


def _export_faults(model: Model, group: FeatureGroup) -> Iterator[Fault]:
    classes = (model.label.classes or ()) if _has(model, "label") else ()
    published = (*group.keys, *output_columns(classes), *STAMPS)
    for number, export in enumerate(model.exports if _has(model, "exports") else ()):
        for position, column in enumerate(export.columns or ()):
            if column not in published:
                loc = ("exports", number, export.kind, "columns", position)
                yield Fault(loc, allowed(f"column of predictions of {model.features.group}", column, published))


def _monotone_faults(model: Model, group: FeatureGroup) -> Iterator[Fault]:
    for column in model.training.monotone if _has(model, "training") else ():
        if group.publishes.get(column) == "string":
            message = f"expected a column of numbers or booleans, found {column} of type string: texts have no order"
            yield Fault(("training", "monotone", column), message)


def _label_faults(model: Model, group: FeatureGroup) -> Iterator[Fault]:
    label, delay = model.label, group.schedule.delay
    unknown = [column for column in label.expression.columns if column not in group.publishes]
    for column in unknown:
        yield Fault(("label", "expression"), allowed(f"column of {group.name}", column, group.publishes))
    if not unknown:
        yield from _expression_faults(model, group)
    if delay < label.due_after:
        message = (
            f"labels are due {label.due_after}d after their day, but {group.name} publishes {delay}d after it, "
            f"before they exist; expected at most {delay}d here, or schedule.delay: {label.due_after}d there"
        )
        yield Fault(("label", "due_after"), message)


def _expression_faults(model: Model, group: FeatureGroup) -> Iterator[Fault]:
    loc = ("label", "expression")
    try:
        kind = model.label.expression.kind(group.publishes)
    except ValueError as error:
        yield Fault(loc, str(error))
        return
    if _has(model, "task") and kind != TASKS[model.task].label:
        yield Fault(loc, f"expected {TASKS[model.task].label} for the task {model.task}, found {kind}")


def _leaks(model: Model, features: FeatureGroup, groups: Groups) -> list[Fault]:
    """A label that features know: by sharing its column, its group or its time."""
    ours, theirs = model.features.group, model.label.group
    if ours == theirs:
        shared = [n for n, column in enumerate(model.features.columns) if column in model.label.expression.columns]
        if shared:
            message = "the label is made from this column: it would leak"
            return [Fault(("features", "columns", number), message) for number in shared]
        message = f"expected another group than features.group: a row of {theirs} is published with its outcome"
        return [Fault(("label", "group"), f"{message}, which leaves nothing to predict")]
    nearest_day = _last_day_read(ours, theirs, groups)
    if nearest_day is not None and nearest_day >= 0:
        return [Fault(("label", "group"), f"{ours} reads {theirs} up to the day itself: the label would leak")]
    if features.schedule.delay >= model.label.due_after:
        message = (
            f"expected more than {features.schedule.delay}d, after which {ours} is published, found "
            f"{model.label.due_after}d: outcomes known before the features leave nothing to predict"
        )
        return [Fault(("label", "due_after"), message)]
    return []


def _last_day_read(name: str, target: str, groups: Groups, seen: frozenset[str] = frozenset()) -> int | None:
    """The last day of `target`, relative to a partition of `name`, that reaches it over all it reads."""
    if name == target:
        return 0
    if name not in groups or name in seen:
        return None
    reached = []
    for other, (_, last) in groups[name].reads.items():
        beyond = _last_day_read(other, target, groups, seen | {name})
        if beyond is not None:
            reached.append(last + beyond)
    return max(reached, default=None)


def _join_faults(features: FeatureGroup, labels: FeatureGroup) -> Iterator[Fault]:
    """Labels are joined on the keys of the features and the day."""
    loc = ("label", "group")
    if features.timezone != labels.timezone:
        yield Fault(loc, f"expected a group in {features.timezone} too, found {labels.timezone}: their days differ")
    for key in features.keys:
        theirs, ours = labels.publishes.get(key), features.publishes[key]
        if theirs is None:
            yield Fault(loc, f"{labels.name} does not publish '{key}', a key of {features.name}: no join")
        elif _ALIKE.get(theirs, theirs) != _ALIKE.get(ours, ours):
            yield Fault(loc, f"the key '{key}' is a {ours} in {features.name} and a {theirs} in {labels.name}")
    if more := [key for key in labels.keys if key not in features.keys]:
        listed = ", ".join(more)
        yield Fault(
            loc, f"{labels.name} has rows for each {listed} too, so a row of {features.name} gets several labels"
        )


def _has(spec: Any, *parts: str) -> bool:
    return all(part in spec.__dict__ for part in parts)

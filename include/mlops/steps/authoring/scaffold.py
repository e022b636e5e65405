"""New files for a user: the start of a feature group from real rows, the start of a model from its groups."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.mlops.errors import SpecError
from include.mlops.spec.expression import Expression, Kind
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.load import GROUP_FILE, Specs
from include.mlops.spec.nearest import allowed
from include.mlops.spec.tasks import TASKS, WATCHED, Task
from include.mlops.spec.wording import name_fault
from include.mlops.steps.authoring.guesses import guess, identifies
from include.mlops.steps.authoring.specimen import Specimen

_PLAIN = re.compile(r"[A-Za-z_][\w ./-]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def _yaml(text: str) -> str:
    """As a text of YAML, in quotes where it would be read as something else."""
    return text if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS else json.dumps(text)


_TEMPLATES = Environment(  # noqa: S701 - YAML and Python, no HTML
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters["yaml"] = _yaml


def new_feature_group(root: Path, specs: Specs, name: str, specimen: Specimen) -> list[Path]:
    """Write `feature_group.yaml` and `transform.py` of a new group. Returns both.

    Raises SpecError for a name that cannot be one, or that is taken.
    """
    folder = root / "feature_groups" / name
    _require_new("feature group", name, folder)
    found = guess(specimen.rows, specimen.ds)
    group = _TEMPLATES.get_template("feature_group.yaml.jinja").render(
        name=name,
        owner=_usual([one.owner for one in specs.groups.values()], "my-team"),
        timezone=_usual([one.timezone for one in specs.groups.values()], "UTC"),
        guess=found,
        first=found.first or "2020-01-01",
        start=found.first + timedelta(days=found.delay) if found.first else "2020-01-31",
        place=specimen.place,
        format=specimen.format,
        path=specimen.path,
        landed=specimen.landed,
        table=specimen.table,
    )
    folder.mkdir(parents=True)
    return [
        _written(folder / GROUP_FILE, group),
        _written(folder / "transform.py", _TEMPLATES.get_template("transform.py.jinja").render(name=name)),
    ]


def new_model(
    root: Path, specs: Specs, name: str, features: str, label: str, task: str | None, target: str | None
) -> Path:
    """Write the file of a new model of the group `features`, which predicts `target` of the group `label`.

    Without a target the one column that could be it is taken, without a task what goes with the target's type.
    Raises SpecError for a name that cannot be one or is taken, and where a group or column is not there.
    """
    path = root / "models" / f"{name}.yaml"
    _require_new("model", name, path)
    ours, theirs = specs.group(features), specs.group(label)
    target = target or _only_target(ours, theirs)
    if target not in targets(ours, theirs):
        raise SpecError([f"--target: {allowed(f'column of {label} to predict', target, targets(ours, theirs))}"])
    kind = Expression.parse(target).kind(theirs.publishes)
    task = task or next(name for name, one in TASKS.items() if one.label == kind)
    expression, classes, decide = _label(TASKS[task], target, kind)
    columns, left_out = _columns(ours, target)
    metric, value = TASKS[task].first_gate
    text = _TEMPLATES.get_template("model.yaml.jinja").render(
        name=name,
        owner=ours.owner,
        task=task,
        features=features,
        columns=columns,
        left_out=left_out,
        label=label,
        expression=expression,
        classes=classes,
        decide=decide,
        due_after=max(1, ours.schedule.delay + 1),
        metric=metric,
        bound="minimum" if TASKS[task].metrics[metric].higher_is_better else "maximum",
        value=value,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return _written(path, text)


def targets(features: FeatureGroup, labels: FeatureGroup) -> list[str]:
    """What could be predicted: columns of `labels` that the features do not have."""
    known = {*labels.keys, *features.publishes}
    return [name for name, kind in labels.publishes.items() if name not in known and kind not in ("date", "timestamp")]


def _only_target(features: FeatureGroup, labels: FeatureGroup) -> str:
    found = targets(features, labels)
    if len(found) != 1:
        listed = ", ".join(found) or "none"
        raise SpecError([f"expected --target, the column of {labels.name} to predict; there are: {listed}"])
    return found[0]


def _label(task: Task, target: str, kind: Kind) -> tuple[str, list[str], str]:
    """An expression that gives what the task wants, its classes, and what is to decide about it."""
    if task.label == kind:
        return target, ["class_a", "class_b", "class_c"] if task.named_classes else [], ""
    if task.named_classes:
        told = f"'high' if {target} > 10 else 'middle' if {target} > 0 else 'low'"
        return told, ["low", "middle", "high"], " # CHECK: the bounds, and the names"
    if task.classes:
        return f"{target} == 'yes'" if kind == "a text" else f"{target} > 0", [], " # CHECK: when is it true?"
    return target, [], " # CHECK: make a number of it"


def _columns(group: FeatureGroup, target: str) -> tuple[str, list[str]]:
    """The columns that a model may learn from as a YAML list, and which are left out, with the reason."""
    left_out: dict[str, str] = {}
    for name, kind in group.publishes.items():
        if kind in ("date", "timestamp"):
            left_out[name] = "a time"
        elif name == target:
            left_out[name] = "it is predicted"
        elif name in WATCHED:
            left_out[name] = "predictions have a column of that name"
        elif identifies(name) or (name in group.keys and (kind != "string" or len(group.keys) == 1)):
            left_out[name] = "it identifies a row"
    kept = [_yaml(name) for name in group.publishes if name not in left_out]
    listed = textwrap.fill(f"[{', '.join(kept)}]", 100, subsequent_indent=" " * 12, break_long_words=False)
    return listed, [f"{name}: {why}" for name, why in left_out.items()]


def _usual(values: list[Any], otherwise: str) -> str:
    return str(Counter(values).most_common(1)[0][0]) if values else otherwise


def _require_new(kind: str, name: str, place: Path) -> None:
    if fault := name_fault(name):
        raise SpecError([f"name of a {kind}: {fault}"])
    if place.exists():
        raise SpecError([f"expected a name that no {kind} has yet, found {place}; take another, or edit that one"])


def _written(path: Path, text: str) -> Path:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path

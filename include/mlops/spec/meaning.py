"""Hashes of what a specification means: equal where published rows must be equal, whatever is written around it.

The syntax tree is written out here, and not by `ast.dump`, whose text differs between Python versions.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

from include.mlops.errors import SpecError
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.model import Model
from include.mlops.spec.transform_file import parse_python

_NOT_CODE = {"type_comment", "type_ignores", "type_params", "kind", "ctx"}  # and positions, which are no fields

_LATER = ("early_stopping", "class_weight", "monotone", "search")
"""Keys of `training` that came later: where they are not used, a model means what it meant before."""


def group_meaning(group: FeatureGroup) -> str:
    """16 hex digits over the code in the group's folder and those keys that change what its rows say.

    Description, owner, expectations, the path of files and the start of the schedule do not. Raises SpecError where a
    file of the folder is not Python.
    """
    source = group.source
    return _digest(
        {
            "code": {path.relative_to(group.folder).as_posix(): _code(path) for path in _sources(group.folder)},
            "format": source.format,
            "columns": list(source.columns.items()),
            **{key: value for key, value in (("day", source.day), ("query", source.query)) if value},
            "publishes": group.publishes,
            "keys": sorted(group.keys),
            "event_time": group.event_time,
            "available_at": group.available_at,
            "timezone": group.timezone,
            "reads": group.reads,
            "delay": group.schedule.delay,
        }
    )


def model_meaning(model: Model) -> str:
    """16 hex digits over what a version learns: features, label, task and training, wherever it is done."""
    told = model.model_dump(mode="json", include={"features", "label", "task", "training"})
    told["training"] = {name: value for name, value in told["training"].items() if value or name not in _LATER}
    for name in ("workers", "checkpoint_every"):  # whoever does it, however often interrupted: the version is the same
        del told["training"][name]
    told["label"]["expression"] = _plain(model.label.expression.tree)
    if not model.label.classes:
        del told["label"]["classes"]  # as it was before there were any
    return _digest(told)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _sources(folder: Path) -> list[Path]:
    if not (folder / "transform.py").is_file():
        raise SpecError([f"{folder / 'transform.py'}: missing; load the group with load_specs, which sets its folder"])
    tests = ("test_*.py", "*_test.py", "conftest.py")
    return [path for path in sorted(folder.rglob("*.py")) if not any(path.match(pattern) for pattern in tests)]


def _code(path: Path) -> Any:
    try:
        return _plain(parse_python(path))
    except (SyntaxError, ValueError, OSError) as error:
        raise SpecError([f"{path}:{getattr(error, 'lineno', None) or 1}: expected Python, found: {error}"]) from error


def _plain(node: Any) -> Any:
    """Nested lists of class names and fields, without docstrings and whatever else has no effect."""
    if isinstance(node, ast.JoinedStr):  # Python 3.12.1 ends some with an empty text
        return ["JoinedStr", [_plain(part) for part in node.values if getattr(part, "value", None) != ""]]
    if isinstance(node, ast.AST):
        fields = {
            name: value for name, value in ast.iter_fields(node) if name not in _NOT_CODE and value not in (None, [])
        }
        return [type(node).__name__, {name: _plain(value) for name, value in fields.items()}]
    if isinstance(node, list):
        return [_plain(item) for item in node if not _says_nothing(item)]
    return node if isinstance(node, str) else f"{type(node).__name__} {node!r}"


def _says_nothing(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

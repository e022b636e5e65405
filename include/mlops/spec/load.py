"""Loads all specifications under a folder. A broken file takes down only itself and what depends on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from include.mlops.errors import SpecError
from include.mlops.spec.across import export_faults, group_faults, model_faults
from include.mlops.spec.base import Spec
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.finding import Fault, Finding, Loc
from include.mlops.spec.model import Model
from include.mlops.spec.nearest import allowed
from include.mlops.spec.transform_file import transform_faults
from include.mlops.spec.user_file import UserFile, read_user_file

S = TypeVar("S", bound=Spec)
GROUP_FILE = "feature_group.yaml"
GroupFiles = dict[str, UserFile[FeatureGroup]]
ModelFiles = dict[str, UserFile[Model]]


@dataclass(frozen=True)
class Specs:
    """What is flawless, by name, and what is wrong with the rest."""

    groups: Mapping[str, FeatureGroup]
    models: Mapping[str, Model]
    findings: tuple[Finding, ...] = ()
    broken_groups: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict, repr=False)
    broken_models: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict, repr=False)

    def group(self, name: str) -> FeatureGroup:
        """Raises SpecError where it is broken (with its findings), or not there (with the nearest name)."""
        return _one("feature group", name, self.groups, self.broken_groups)

    def readers(self, name: str) -> list[FeatureGroup]:
        """The groups that read the group of that name."""
        return [other for other in self.groups.values() if name in other.reads]

    def model(self, name: str) -> Model:
        """Raises SpecError where it is broken (with its findings), or not there (with the nearest name)."""
        return _one("model", name, self.models, self.broken_models)


def load_specs(root: Path) -> Specs:
    """Read `feature_groups/<name>/feature_group.yaml` and `models/<name>.yaml` under `root`.

    Never raises for what the files hold: that is in `findings`, sorted by file and line, files shown from the folder
    that holds `root`.
    """
    root = root.resolve()
    groups = _group_files(root)
    models = {path.stem: read_user_file(path, Model) for path in _visible(root, "models/*.yaml")}
    alone = {name: file.spec for name, file in groups.items() if file.whole and file.spec is not None}
    for name, group in groups.items():
        groups[name] = _with(group, group_faults(name, group.spec, alone) if group.spec else [])
    _mark_what_reads_broken(groups)
    for name, model in models.items():
        faults = (
            [*model_faults(name, model.spec, alone), *_unusable(model, _uses_of(model.spec), groups)]
            if model.spec
            else []
        )
        models[name] = _with(model, faults)
    readable = {name: file.spec for name, file in models.items() if file.spec is not None}
    for name in readable:
        models[name] = _with(models[name], list(export_faults(name, readable)))
    broken_groups, broken_models = _broken(groups, root), _broken(models, root)
    every = [*_stray(root), *(one for some in (*broken_groups.values(), *broken_models.values()) for one in some)]
    return Specs(_flawless(groups), _flawless(models), tuple(sorted(every)), broken_groups, broken_models)


def _group_files(root: Path) -> GroupFiles:
    files: GroupFiles = {}
    for path in _visible(root, f"feature_groups/*/{GROUP_FILE}"):
        file, source = read_user_file(path, FeatureGroup), path.with_name("transform.py")
        beside = tuple(Finding(_shown(source, root), *fault) for fault in transform_faults(source))
        spec = file.spec.model_copy(update={"folder": path.parent}) if file.spec else None
        files[path.parent.name] = replace(file, spec=spec, beside=beside)
    return files


def _mark_what_reads_broken(groups: GroupFiles) -> None:
    """Passes the fault of a broken group on to its readers, and to theirs."""
    waiting = list(groups)
    while waiting:
        name = waiting.pop(0)
        file = groups[name]
        uses: dict[Loc, str] = {
            ("reads", other): other for other in _parts(file.spec).get("reads", {}) if other != name
        }
        faults = [fault for fault in _unusable(file, uses, groups) if fault not in file.faults]
        groups[name] = _with(file, faults)
        if file.flawless and faults:
            waiting += groups


def _uses_of(model: Model) -> dict[Loc, str]:
    return {(part, "group"): _parts(model)[part].group for part in ("features", "label") if part in _parts(model)}


def _unusable(file: UserFile[S], uses: Mapping[Loc, str], groups: GroupFiles) -> Iterator[Fault]:
    """A fault for each use of a group that is not there or is broken."""
    for loc, used in uses.items():
        if used not in groups:
            yield Fault(loc, allowed("feature group", used, groups))
        elif not groups[used].flawless and not any(fault.loc == loc for fault in file.faults):
            yield Fault(loc, f"the feature group '{used}' is broken; see its own findings")


def _stray(root: Path) -> Iterator[Finding]:
    """Files that look like specifications but stand where none is read."""
    if not (root / "feature_groups").is_dir() and not (root / "models").is_dir():
        yield Finding(_shown(root, root), 1, "", "expected a folder with feature_groups/ and models/")
    for path in _visible(root, "feature_groups/*"):
        if path.is_dir() and not (path / GROUP_FILE).exists():
            yield Finding(_shown(path / GROUP_FILE, root), 1, "", "missing; a feature group's folder holds this file")
        elif path.suffix in (".yaml", ".yml"):
            yield Finding(_shown(path, root), 1, "", f"expected feature_groups/{path.stem}/{GROUP_FILE}; move it there")
    for path in _visible(root, "models/*.yml"):
        yield Finding(_shown(path, root), 1, "", f"expected the name {path.stem}.yaml; rename it")


def _visible(root: Path, pattern: str) -> list[Path]:
    """Paths that match, without what editors and tools put beside them (`.x`, `_x`)."""
    found = sorted(root.glob(pattern))
    return [path for path in found if not any(part[0] in "._" for part in path.relative_to(root).parts)]


def _one(kind: str, name: str, flawless: Mapping[str, S], broken: Mapping[str, tuple[Finding, ...]]) -> S:
    if name in flawless:
        return flawless[name]
    raise SpecError([str(one) for one in broken.get(name, ())] or [allowed(kind, name, {*flawless, *broken})])


def _flawless(files: Mapping[str, UserFile[S]]) -> dict[str, S]:
    return {name: file.spec for name, file in files.items() if file.flawless and file.spec is not None}


def _broken(files: Mapping[str, UserFile[S]], root: Path) -> dict[str, tuple[Finding, ...]]:
    return {name: tuple(file.findings(_shown(file.path, root))) for name, file in files.items() if not file.flawless}


def _with(file: UserFile[S], faults: list[Fault]) -> UserFile[S]:
    return replace(file, faults=(*file.faults, *faults))


def _parts(spec: Spec | None) -> dict[str, Any]:
    """The parts that are right, by key; no attribute of a partial specification may be trusted."""
    return {} if spec is None else spec.__dict__


def _shown(path: Path, root: Path) -> Path:
    return path.relative_to(root.parent)

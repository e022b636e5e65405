"""What made a model besides its data: the code and the packages."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from include.mlops.settings import ROOT

PACKAGES = ("xgboost", "numpy", "pyarrow", "pyiceberg", "scikit-learn", "mlflow", "pyspark")


def packages() -> dict[str, str]:
    """Versions that bear on what a fit gives, Python and the processor's architecture included."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_revision(root: Path = ROOT) -> str:
    """The git revision where the tree is clean, and else a hash of what lies under `include/`."""
    return _git(root) or f"content-{content_hash(root / 'include')}"


def content_hash(folder: Path) -> str:
    """A hash of every Python file and specification below `folder`, names included."""
    found = hashlib.sha256()
    for path in sorted(p for pattern in ("*.py", "*.yaml") for p in folder.rglob(pattern)):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _git(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        ask = ("git", "-C", str(root))
        changed = subprocess.run(
            [*ask, "status", "--porcelain", "--", "include"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        revision = subprocess.run(
            [*ask, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, env=environment
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return None if changed.stdout.strip() else revision.stdout.strip()

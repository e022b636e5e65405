"""What must hold before anything starts, all of it checked and told at once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from include.mlops.compute.java import find_java
from include.mlops.errors import SettingsError
from include.mlops.local.ports import holder_of, is_taken
from include.mlops.local.state_folder import StateFolder
from include.mlops.settings import Settings

FREE_DISK_GB = 5.0
PYTHONS = ((3, 11), (3, 13))


def preflight(settings: Settings, services: Collection[str], free_disk_gb: float = FREE_DISK_GB) -> None:
    """Raise SettingsError with every reason why the stack could not run; do nothing else.

    `services` are names out of spark, mlflow, airflow: only their ports and needs are looked at.
    """
    findings = [
        *_python(sys.version_info[:2]),
        *(_java() if "spark" in services else []),
        *(finding for service in services for finding in _port(service, getattr(settings, f"{service}_port"))),
        *_folder(settings.state, free_disk_gb),
    ]
    if findings:
        raise SettingsError("The local stack cannot start:\n" + "\n".join(f"- {finding}" for finding in findings))


def _python(version: tuple[int, int]) -> list[str]:
    oldest, newest = PYTHONS
    if oldest <= version <= newest:
        return []
    wanted = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    return [f"Python {wanted} is needed, found {version[0]}.{version[1]} at {sys.executable}."]


def _java() -> list[str]:
    try:
        find_java()
    except SettingsError as error:
        return [str(error)]
    return []


def _port(service: str, port: int) -> list[str]:
    variable = f"MLOPS_{service.upper()}_PORT"
    try:
        if not is_taken(port):
            return []
    except OSError as error:
        return [f"port {port} for {service} cannot be opened: {error.strerror}. Set {variable} to another port."]
    holder = holder_of(port)
    by = f" by {holder}" if holder else ""
    return [f"port {port} for {service} is taken{by}. Stop that program, or set {variable} to a free port."]


def _folder(state: Path, free_disk_gb: float) -> list[str]:
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return [f"state folder {state} cannot be written: {error.strerror}. Set MLOPS_STATE to a folder that can."]
    findings = []
    folder = StateFolder(state)
    if folder.is_held():
        findings.append(folder.in_use())
    free = shutil.disk_usage(state).free / 1e9
    if free < free_disk_gb:
        findings.append(
            f"{free_disk_gb:g} GB of free disk are needed under {state}, found {free:.1f} GB. "
            "Free some, or set MLOPS_STATE to a folder on another disk."
        )
    return findings

"""docker-compose.yaml as values, and what its services are as processes of this machine, elsewhere.

No container engine is needed: each service's own command, environment and health check is what runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from include.mlops.local.ports import free_port
from include.mlops.settings import ROOT

FILE = ROOT / "docker-compose.yaml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


def read_compose(variables: Mapping[str, str], file: Path = FILE) -> dict[str, Any]:
    """The file with its variables filled in. Raises KeyError, with the file's own message, for one it asks for."""

    def fill(found: re.Match[str]) -> str:
        dollar, name, mode, text = found.groups()
        if dollar:
            return "$"
        if value := variables.get(name):
            return value
        if mode == "?":
            raise KeyError(f"{name}: {text}")
        return text or ""

    def filled(value: Any) -> Any:
        match value:
            case str():
                return _VARIABLE.sub(fill, value)
            case dict():
                return {key: filled(one) for key, one in value.items()}
            case list():
                return [filled(one) for one in value]
        return value

    found: dict[str, Any] = filled(YAML(typ="safe").load(file))
    return found


def read_env(file: Path) -> dict[str, str]:
    """An `.env` file."""
    lines = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines())
    return {name.strip(): value for name, mark, value in lines if mark and not name.startswith("#")}


def start_order(services: Mapping[str, Any]) -> list[str]:
    """By `depends_on`."""
    return [*TopologicalSorter({name: [*one.get("depends_on", {})] for name, one in services.items()}).static_order()]


@dataclass(frozen=True)
class Here:
    """Where the services of a compose file are on this machine."""

    services: Mapping[str, Any]
    folders: Mapping[str, str]  # of a container: of this machine
    ports: dict[int, int] = field(default_factory=dict)

    def port(self, of_container: int) -> int:
        return self.ports.setdefault(of_container, free_port())

    def command(self, name: str, what: str = "command") -> list[str]:
        """The service's command, or with `healthcheck` that of its health check."""
        found = self.services[name]["healthcheck"]["test"][1:] if what == "healthcheck" else self.services[name][what]
        return [self._moved(str(part)) for part in found]

    def environment(self, name: str) -> dict[str, str]:
        """What the image's own environment sets comes first, and a container's address is this machine's."""
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        python = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        image = {"PATH": programs, "PYTHONPATH": python, "AIRFLOW_HOME": self.folders["/opt/airflow"]}
        told = self.services[name].get("environment", {})
        moved = {key: "127.0.0.1" if value in self.services else self._moved(str(value)) for key, value in told.items()}
        return {**image, **moved} | ({"MLOPS_HOST": "127.0.0.1"} if "MLOPS_HOST" in told else {})

    def is_healthy(self, name: str) -> bool:
        """By the health check that the file gives it."""
        variables = {**os.environ, **self.environment(name)}
        command = self.command(name, "healthcheck")
        return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, check=False).returncode == 0

    def replica(self, port: int) -> Here:
        """One more container of a service, whose `port` another one has on this machine."""
        return Here(self.services, self.folders, {**self.ports, port: free_port()})

    def _moved(self, text: str) -> str:
        names = "|".join(sorted(map(re.escape, self.services), key=len, reverse=True))
        text = re.sub(rf"(?<![\w-])(?:{names})(?=:\d)|(?<==)(?:{names})$", "127.0.0.1", text)
        folders = "|".join(sorted(map(re.escape, self.folders), key=len, reverse=True))  # the deepest first
        text = re.sub(rf"(?<![\w/])(?:{folders})(?=$|[/\"])", lambda found: self.folders[found.group()], text)
        return re.sub(r"(?<![\w.])\d{4,5}(?![\w.])", lambda found: self._port_of(found.group()), text)

    def _port_of(self, number: str) -> str:
        return str(self.port(int(number))) if int(number) in CONTAINER_PORTS else number


CONTAINER_PORTS = (5432, 7070, 7077, 5000, 8080, 8081, 8082, 8793, 8794, 9102, 9125, 15002)
"""Those that services listen on, which differ from one another: a number is enough to know whose it is."""


def one_shots(services: Mapping[str, Any]) -> Iterator[str]:
    return (name for name, one in services.items() if one.get("restart") == "no")

"""What Grafana's dashboard asks for: names of metrics, and SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from include.mlops.settings import ROOT

FILE = ROOT / "deploy" / "grafana" / "dashboards" / "mlops.json"
_NAME = re.compile(r"\bairflow_[a-z0-9_]+")
_SUFFIX = re.compile(r"_(sum|count)$")  # of a summary, which is what the exporter makes of a timer


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["panels"]
    return found


def targets(datasource: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each panel that asks the data source: its title, and what it asks."""
    for panel in panels():
        for target in panel.get("targets", []):
            if target["datasource"]["uid"] == datasource:
                yield panel["title"], target


def prometheus_names() -> set[str]:
    """The metrics of the panels, without what a timer's parts add to them."""
    return {_SUFFIX.sub("", name) for _, target in targets("prometheus") for name in _NAME.findall(target["expr"])}


def emitted(lines: Iterable[str]) -> set[str]:
    """Names that Prometheus sees for lines of StatsD, as its exporter makes them."""
    return {re.sub(r"[^a-zA-Z0-9_]", "_", re.split(r"[,:]", line)[0]) for line in lines}

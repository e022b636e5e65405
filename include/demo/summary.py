"""The demo's result: for each model a table of nights and versions, and the alerts, read from the ledger and MLflow."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.mlops.alerts.listing import COLUMNS
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform


def summarise(platform: Platform, first: date) -> dict[str, Any]:
    """Everything that happened from `first` on, as plain values."""
    return {
        "models": {name: summarise_model(platform, model, first) for name, model in platform.specs.models.items()},
        "alerts": [dict(zip(COLUMNS, row, strict=True)) for row in reversed(platform.alerts.outbox(limit=200))],
    }


def summarise_model(platform: Platform, model: Model, first: date) -> dict[str, Any]:
    """One model's nights from `first` on, and all of its versions; `metric` is the gate's."""
    metric, ledger = model.gate.metric, platform.ledger
    group = platform.specs.group(model.features.group)
    last = ledger.publications.frontier(model.predictions) or first
    interval = Interval(first, max(first, last))
    features = ledger.publications.over(group.table, interval)
    scored = ledger.publications.over(model.predictions, interval)
    performance = ledger.monitoring.metrics(model.name, "performance")
    drift = {verdict.ds: verdict for verdict in ledger.monitoring.verdicts(model.name, "drift")}
    asked = {d.ds: d.outcome for d in ledger.releases.decisions(model.name, "retrain")}
    nights = []
    for ds in sorted(scored):
        verdict = drift.get(ds)
        nights.append(
            {
                "ds": str(ds),
                "rows": scored[ds].rows,
                "quarantined": features[ds].quarantined if ds in features else 0,
                "version": scored[ds].version,
                "realised": performance.get(ds, {}).get(metric),
                "coverage": performance.get(ds, {}).get("coverage"),
                "drift": "-"
                if verdict is None
                else "confirmed"
                if verdict.confirmed
                else "seen"
                if verdict.bad
                else "none",
                "drifted": verdict.detail["drifted"] if verdict else [],
                "retraining": asked.get(ds),
            }
        )
    aliases = {
        name: version.number
        for name in ("champion", "challenger", "previous")
        if (version := platform.registry.aliased(model.name, name))
    }
    decisions = [d for d in ledger.releases.decisions(model.name) if d.version is not None]
    return {
        "metric": metric,
        "nights": nights,
        "versions": [
            {
                "version": version.number,
                "as_of": str(version.as_of),
                "holdout": version.metrics.get(metric),
                "aliases": [name for name, number in aliases.items() if number == version.number],
                "decision": next(
                    (f"{d.outcome}: {d.reason}" for d in reversed(decisions) if d.version == version.number), None
                ),
            }
            for version in platform.registry.versions(model.name)
        ],
        "live": [
            {"version": i.version, "first_ds": str(i.first_ds), "last_ds": str(i.last_ds) if i.last_ds else None}
            for i in ledger.releases.intervals(model.name)
        ],
    }


def show(console: Console, summary: dict[str, Any]) -> None:
    """Print the summary as tables."""
    for name, found in summary["models"].items():
        _show_model(console, name, found)
    alerts = Table(*COLUMNS, title="Alerts (without a Slack token they wait in the outbox)")
    for row in summary["alerts"]:
        alerts.add_row(*map(escape, row.values()))
    console.print(alerts)


def _show_model(console: Console, name: str, found: dict[str, Any]) -> None:
    columns = ("Night", "Rows", "Quarantined", "Version", found["metric"], "Coverage", "Drift", "Columns", "Retraining")
    nights = Table(*columns, title=f"Nights of {name}")
    for night in found["nights"]:
        nights.add_row(
            night["ds"],
            str(night["rows"]),
            str(night["quarantined"]),
            f"v{night['version']}",
            _number(night["realised"]),
            "-" if night["coverage"] is None else f"{night['coverage']:.1%}",
            night["drift"],
            ", ".join(night["drifted"][:3]),
            night["retraining"] or "",
        )
    console.print(nights)
    title = f"Versions of {name}"
    versions = Table("Version", "As of", f"{found['metric']} on the holdout", "Aliases", "Decision", title=title)
    for version in found["versions"]:
        versions.add_row(
            f"v{version['version']}",
            version["as_of"],
            _number(version["holdout"]),
            ", ".join(version["aliases"]),
            version["decision"] or "",
        )
    console.print(versions)


def keep(path: Path, summary: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

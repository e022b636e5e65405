"""The demo's result: a table of nights, the versions and the alerts, read from the ledger and MLflow."""

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
from include.mlops.steps.platform import Platform

MODEL = "flight_delay"


def summarise(platform: Platform, first: date) -> dict[str, Any]:
    """Everything that happened from `first` on, as plain values."""
    model = platform.specs.model(MODEL)
    group = platform.specs.group(model.features.group)
    last = platform.ledger.publications.frontier(model.predictions) or first
    interval = Interval(first, max(first, last))
    features = platform.ledger.publications.over(group.table, interval)
    scored = platform.ledger.publications.over(model.predictions, interval)
    performance = platform.ledger.monitoring.metrics(MODEL, "performance")
    drift = {verdict.ds: verdict for verdict in platform.ledger.monitoring.verdicts(MODEL, "drift")}
    asked = {d.ds: d.outcome for d in platform.ledger.releases.decisions(MODEL, "retrain")}
    nights = []
    for ds in sorted(scored):
        verdict = drift.get(ds)
        nights.append(
            {
                "ds": str(ds),
                "rows": scored[ds].rows,
                "quarantined": features[ds].quarantined if ds in features else 0,
                "version": scored[ds].version,
                "auc": performance.get(ds, {}).get("roc_auc"),
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
        if (version := platform.registry.aliased(MODEL, name))
    }
    decisions = [d for d in platform.ledger.releases.decisions(MODEL) if d.version is not None]
    return {
        "nights": nights,
        "versions": [
            {
                "version": version.number,
                "as_of": str(version.as_of),
                "holdout_auc": version.metrics.get("roc_auc"),
                "aliases": [name for name, number in aliases.items() if number == version.number],
                "decision": next(
                    (f"{d.outcome}: {d.reason}" for d in reversed(decisions) if d.version == version.number), None
                ),
            }
            for version in platform.registry.versions(MODEL)
        ],
        "live": [
            {"version": i.version, "first_ds": str(i.first_ds), "last_ds": str(i.last_ds) if i.last_ds else None}
            for i in platform.ledger.releases.intervals(MODEL)
        ],
        "alerts": [dict(zip(COLUMNS, row, strict=True)) for row in reversed(platform.alerts.outbox(limit=200))],
    }


def show(console: Console, summary: dict[str, Any]) -> None:
    """Print the summary as tables."""
    nights = Table(
        "Night", "Rows", "Quarantined", "Version", "AUC", "Coverage", "Drift", "Columns", "Retraining", title="Nights"
    )
    for night in summary["nights"]:
        nights.add_row(
            night["ds"],
            str(night["rows"]),
            str(night["quarantined"]),
            f"v{night['version']}",
            _number(night["auc"]),
            "-" if night["coverage"] is None else f"{night['coverage']:.1%}",
            night["drift"],
            ", ".join(night["drifted"][:3]),
            night["retraining"] or "",
        )
    console.print(nights)
    versions = Table("Version", "As of", "Holdout AUC", "Aliases", "Decision", title="Model versions")
    for version in summary["versions"]:
        versions.add_row(
            f"v{version['version']}",
            version["as_of"],
            _number(version["holdout_auc"]),
            ", ".join(version["aliases"]),
            version["decision"] or "",
        )
    console.print(versions)
    alerts = Table(*COLUMNS, title="Alerts (without a Slack token they wait in the outbox)")
    for row in summary["alerts"]:
        alerts.add_row(*map(escape, row.values()))
    console.print(alerts)


def keep(path: Path, summary: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

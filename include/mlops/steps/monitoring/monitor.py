"""Monitor: a scored partition against the profile its version was trained on, by Evidently on bounded samples."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.mlops.alerts.alert import Alert
from include.mlops.errors import NotReady
from include.mlops.learner.distance import ENOUGH, alike, by_chance, comparable, distance, gap, is_text
from include.mlops.learner.profile import draw, from_parquet
from include.mlops.ledger.monitoring import Verdict
from include.mlops.policy.drift import ColumnDrift, confirm, judge_night
from include.mlops.registry.version import Version
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.spec.tasks import WATCHED
from include.mlops.steps.monitoring.measured import record_measured
from include.mlops.steps.platform import Platform
from include.mlops.steps.report import keep
from include.mlops.steps.training.training_record import FEATURES_TABLE, IMPORTANCES, REFERENCE, USUAL

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Monitored:
    verdict: Verdict
    distances: dict[str, float]


@dataclass(frozen=True)
class _Finding:
    """Each column's drift, over so many rows, and the page that shows it; nothing for a day without rows."""

    drifts: dict[str, ColumnDrift]
    rows: int
    reference: int
    html: str | None

    def shown(self, kind: str) -> dict[str, float]:
        return {name: getattr(drift, kind) for name, drift in self.drifts.items()}


def monitor(platform: Platform, model: Model, ds: date, run_id: str) -> Monitored:
    """Measure drift of the features and the predictions of `ds`, keep the verdict, alert at the frontier.

    Raises NotReady where `ds` is not scored.
    """
    publication = platform.ledger.publications.over(model.predictions, Interval.day(ds)).get(ds)
    if publication is None or publication.version is None:
        raise NotReady(f"monitor {model.name} {ds}", [f"{model.predictions} of {ds}"])
    record = platform.registry.version(model.name, publication.version)
    features = platform.ledger.publications.over(record.tag(FEATURES_TABLE), Interval.day(ds)).values()
    found = _measure(platform, model, record, ds)
    path = keep(platform.settings, f"drift/{model.name}/{ds}.html", found.html) if found.html else None
    verdict = _judge(platform, model, record.number, ds, run_id, found, path)
    distances = found.shown("distance")
    weight = verdict.detail["weight"]
    platform.ledger.monitoring.record(model.name, ds, "drift", {**distances, "weight": weight}, record.number, run_id)
    platform.ledger.monitoring.judge(verdict)
    record_measured(platform, model, model.drift, publication, features, run_id)
    if found.rows and platform.at_frontier(model.predictions, ds):
        _tell(platform, model, verdict)
    state = f"bad={verdict.bad} confirmed={verdict.confirmed} {', '.join(verdict.detail['drifted'])}"
    log.info("drift of %s v%d on %s: %s", model.name, record.number, ds, state)
    return Monitored(verdict, distances)


def _measure(platform: Platform, model: Model, record: Version, ds: date) -> _Finding:
    importances: dict[str, float] = json.loads(platform.registry.artifact(record, IMPORTANCES))
    usual: dict[str, float] = json.loads(platform.registry.artifact(record, USUAL))
    profile = alike(from_parquet(platform.registry.artifact(record, REFERENCE)), ds)
    outputs = [name for name in WATCHED if name in profile.column_names]
    columns, weights = [*importances, *outputs], {**importances, **dict.fromkeys(outputs, 1.0)}
    sample = _sample(platform, model, record.tag(FEATURES_TABLE), list(importances), outputs, ds)
    if not sample.num_rows:
        return _Finding({}, 0, profile.num_rows, None)
    reference, current = comparable(profile, columns), comparable(sample, columns)
    lost = {c for c in columns if current[c].isna().all() and not reference[c].isna().all()}
    distances, html = _evidently(reference, current)
    if len(current) < ENOUGH:
        chance = by_chance(reference, len(current))
        usual = {c: max(usual.get(c, 0.0), chance[c]) for c in columns}
    drifts = {
        c: ColumnDrift(max(distances[c], gap(reference[c], current[c])), usual.get(c, 0.0), weights[c], c in lost)
        for c in columns
    }
    return _Finding(drifts, len(current), len(reference), html)


def _sample(platform: Platform, model: Model, table: str, columns: list[str], outputs: list[str], ds: date) -> pa.Table:
    """A bounded sample of the day's features with their predictions, drawn by hash of the entity."""
    keys, day = list(platform.specs.group(model.features.group).keys), Interval.day(ds)
    features = platform.lake.read(table, day, list(dict.fromkeys([*keys, *columns])))
    scores = platform.lake.read(model.predictions, day, [*keys, *outputs])
    return draw(features.join(scores, keys, join_type="inner"), keys, platform.settings.sample_rows)


def _evidently(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[dict[str, float], str]:
    """{column: distance} and the HTML report. Of a column without values on one side it shows how many are missing."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import MissingValueCount, ValueDrift

    without = [c for c in reference.columns if reference[c].isna().all() or current[c].isna().all()]
    texts = [c for c in reference.columns if is_text(reference[c])]
    numbers = [c for c in reference.columns if c not in texts]
    measured = [c for c in [*texts, *numbers] if c not in without]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    metrics: list[Any] = [
        *(ValueDrift(column=c, method="jensenshannon" if c in texts else "wasserstein") for c in measured),
        *(MissingValueCount(column=c) for c in without),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a constant column's histogram
        run = Report(metrics).run(
            Dataset.from_pandas(current, data_definition=definition),
            Dataset.from_pandas(reference, data_definition=definition),
        )
        html: str = run.get_html_str(as_iframe=False)
    values = [float(metric["value"]) for metric in run.dict()["metrics"][: len(measured)]]
    distances = dict(zip(measured, values, strict=True))
    return distances | {c: distance(reference[c], current[c]) for c in without}, html


def _judge(
    platform: Platform, model: Model, version: int, ds: date, run_id: str, found: _Finding, path: str | None
) -> Verdict:
    """The night, confirmed by earlier nights of the same version. A day without rows is no night of its own."""
    watch = model.monitoring
    night = judge_night(found.drifts, watch.threshold, watch.share)
    nights = [
        (v.ds, v.bad)
        for v in platform.ledger.monitoring.verdicts(model.name, "drift", ds)
        if v.ds < ds and v.version == version and v.detail["rows"]
    ]
    confirmation = confirm([*nights, (ds, night.bad)] if found.rows else nights, watch.persistence, watch.windows)
    detail = {
        "drifted": list(night.drifted),
        "weight": night.weight,
        "distances": found.shown("distance"),
        "usual": found.shown("usual"),
        "rows": found.rows,
        "reference": found.reference,
    }
    return Verdict(
        model.name, ds, "drift", night.bad, confirmation.confirmed, run_id, version, confirmation.since, detail, path
    )


def _tell(platform: Platform, model: Model, verdict: Verdict) -> None:
    found: Mapping[str, Any] = verdict.detail
    if verdict.since is None:
        text = f"{verdict.ds} looks like the data that v{verdict.version} was trained on."
        platform.alerts.recover("drift", model.name, verdict.ds, text)
    if not verdict.confirmed:
        return
    drifted: list[str] = found["drifted"]
    features = [column for column in drifted if column not in WATCHED]
    weight = found["weight"] - (len(drifted) - len(features))
    parts = [f"{len(features)} feature(s) that carry {weight:.0%} of the model's weight"] if features else []
    parts += ["the predictions"] if len(features) < len(drifted) else []
    ahead = (
        "Retraining starts by itself once enough days have labels."
        if model.retraining.on_drift
        else ("Retraining on drift is switched off: retrain by hand, or correct what upstream changed.")
    )
    usual = found["usual"]
    platform.alerts.send(
        Alert(
            kind="drift",
            subject=model.name,
            ds=verdict.ds,
            severity="warning",
            title=f"{model.name} v{verdict.version}: {', '.join(drifted[:3])} drifted",
            summary=f"Unlike the data that v{verdict.version} was trained on: {' and '.join(parts)}. {ahead}",
            numbers={c: f"distance {found['distances'][c]:.2f}, usually up to {usual[c]:.2f}" for c in drifted[:6]},
            links={
                "Drift report": platform.report_url(verdict.report or ""),
                "Model version": platform.registry.version_url(model.name, verdict.version or 0),
            },
            since=verdict.since,
            channel=model.alerts.channel,
            on_call=model.alerts.on_call,
        )
    )

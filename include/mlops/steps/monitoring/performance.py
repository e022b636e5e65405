"""Realised performance: once labels are published, the partition's predictions meet what happened."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from math import isnan

import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.alerts.alert import Alert
from include.mlops.errors import MlopsError, NotReady
from include.mlops.learner.evaluate import evaluate
from include.mlops.learner.labels import labels
from include.mlops.learner.predict import published
from include.mlops.learner.profile import LABEL
from include.mlops.ledger.monitoring import Verdict
from include.mlops.policy.drift import confirm
from include.mlops.policy.performance import fell
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.spec.tasks import output_columns
from include.mlops.steps.monitoring.measured import record_measured
from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """Metrics of one day; None where one is not defined, as with a single class. No labels, no metrics.

    `coverage` is the share of predictions that got a label. There is no verdict without the gate's metric.
    """

    ds: date
    metrics: dict[str, float | None]
    coverage: float
    verdict: Verdict | None


def measure(platform: Platform, model: Model, interval: Interval, run_id: str) -> list[Measured]:
    """Judge every scored day of `interval`; the others are passed over. Raises NotReady without labels."""
    table = platform.specs.group(model.label.group).table
    labels = platform.ledger.publications.over(table, interval)
    missing = [ds for ds in interval if ds not in labels]
    if missing:
        raise NotReady(f"performance of {model.name} {interval}", [f"{table} of {ds}" for ds in missing])
    scored = platform.ledger.publications.over(model.predictions, interval)
    found = []
    for ds, predicted in sorted(scored.items()):
        found.append(_measure_day(platform, model, ds, predicted.version or 0, run_id))
        record_measured(platform, model, model.performance, predicted, [labels[ds]], run_id)
    return found


def _measure_day(platform: Platform, model: Model, ds: date, version: int, run_id: str) -> Measured:
    rows = _joined(platform, model, ds)
    labelled = rows.filter(pc.is_valid(rows[LABEL]))
    coverage = labelled.num_rows / max(rows.num_rows, 1)
    scores = published(labelled, model.label.classes)
    found = evaluate(model.task, labelled[LABEL].to_numpy(), scores) if labelled.num_rows else {}
    values = {name: None if isnan(value) else value for name, value in found.items()}
    kept = {**values, "coverage": coverage, "labelled": float(labelled.num_rows)}
    platform.ledger.monitoring.record(model.name, ds, "performance", kept, version, run_id)
    verdict = _judge(platform, model, ds, version, values.get(model.gate.metric), coverage, run_id)
    if verdict and platform.at_frontier(platform.specs.group(model.label.group).table, ds):
        _tell(platform, model, verdict)
    log.info("performance of %s v%d on %s: %s, coverage %.3f", model.name, version, ds, values, coverage)
    return Measured(ds, values, coverage, verdict)


def _joined(platform: Platform, model: Model, ds: date) -> pa.Table:
    """The day's predictions, each with its label or null. Raises MlopsError where an entity has several labels."""
    day, group = Interval.day(ds), platform.specs.group(model.label.group)
    keys = list(platform.specs.group(model.features.group).keys)
    predicted = platform.lake.read(model.predictions, day, [*keys, *output_columns(model.label.classes)])
    columns = list(dict.fromkeys([*keys, *model.label.expression.columns]))
    outcomes = platform.lake.read(group.table, day, columns)
    known = {key: outcomes[key].cast(predicted.schema.field(key).type) for key in keys}
    known[LABEL] = labels(model.label.expression, outcomes, model.task, model.label.classes)
    joined = predicted.join(pa.table(known), keys, join_type="left outer")
    if joined.num_rows > predicted.num_rows:
        raise MlopsError(
            f"expected one row for each {', '.join(keys)} in {group.table} of {ds}, found some repeated: "
            f"{predicted.num_rows} predictions got {joined.num_rows} labels; correct `keys` in the feature group, "
            "or its transform, and publish the day again"
        )
    return joined


def _judge(
    platform: Platform, model: Model, ds: date, version: int, realised: float | None, coverage: float, run_id: str
) -> Verdict | None:
    promised = platform.registry.version(model.name, version).metrics.get(model.gate.metric)
    if realised is None or promised is None:
        return None
    bad = fell(realised, promised, model.performance_drop(promised), higher_is_better=model.higher_is_better)
    nights = [
        (v.ds, v.bad)
        for v in platform.ledger.monitoring.verdicts(model.name, "performance", ds)
        if v.ds < ds and v.version == version
    ]
    confirmation = confirm([*nights, (ds, bad)], model.monitoring.persistence, model.monitoring.windows)
    verdict = Verdict(
        model.name,
        ds,
        "performance",
        bad,
        confirmation.confirmed,
        run_id,
        version,
        confirmation.since,
        {"metric": model.gate.metric, "realised": realised, "holdout": promised, "coverage": coverage},
    )
    platform.ledger.monitoring.judge(verdict)
    return verdict


def _tell(platform: Platform, model: Model, verdict: Verdict) -> None:
    found = verdict.detail
    metric, realised, promised = found["metric"], f"{found['realised']:.3f}", f"{found['holdout']:.3f}"
    if verdict.since is None:
        text = f"{metric} of {verdict.ds} is {realised}; the holdout of v{verdict.version} promised {promised}."
        platform.alerts.recover("performance", model.name, verdict.ds, text)
    if not verdict.confirmed:
        return
    way = "fell" if model.higher_is_better else "rose"
    ahead = "starts by itself once enough days have labels" if model.retraining.on_performance else "is switched off"
    platform.alerts.send(
        Alert(
            kind="performance",
            subject=model.name,
            ds=verdict.ds,
            severity="warning",
            title=f"{model.name} v{verdict.version}: {metric} {way} to {realised}",
            summary=f"The holdout promised {promised}. Retraining on performance {ahead}.",
            numbers={metric: realised, "holdout": promised, "coverage": f"{found['coverage']:.1%}"},
            links={"Model version": platform.registry.version_url(model.name, verdict.version or 0)},
            since=verdict.since,
            channel=model.alerts.channel,
            on_call=model.alerts.on_call,
        )
    )

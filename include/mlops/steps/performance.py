"""Realised performance: once labels are published, the partition's predictions meet what happened."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from math import isnan

import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.alerts.alert import Alert
from include.mlops.errors import NotReady
from include.mlops.learner.evaluate import evaluate
from include.mlops.learner.labels import labels
from include.mlops.ledger.monitoring import Verdict
from include.mlops.policy.drift import confirm
from include.mlops.policy.performance import fell
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """Metrics of one day; `coverage` is the share of predictions that got a label. None where nothing was predicted."""

    ds: date
    metrics: dict[str, float | None]
    coverage: float
    verdict: Verdict | None


def measure(platform: Platform, model: Model, interval: Interval, run_id: str) -> list[Measured]:
    """Judge every scored day of `interval`. Days without predictions are passed over. Raises NotReady without labels."""
    table = platform.specs.group(model.label.group).table
    missing = platform.ledger.publications.missing(table, interval)
    if missing:
        raise NotReady(f"performance of {model.name}", [f"{table} of {ds}" for ds in missing])
    scored = platform.ledger.publications.over(model.predictions, interval)
    frontier = platform.ledger.publications.frontier(table)
    return [_measure_day(platform, model, ds, scored[ds].version or 0, run_id, act=ds == frontier) for ds in sorted(scored)]


def _measure_day(platform: Platform, model: Model, ds: date, version: int, run_id: str, *, act: bool) -> Measured:
    day, group = Interval.day(ds), platform.specs.group(model.label.group)
    keys = list(platform.specs.group(model.features.group).keys)
    predicted = platform.lake.read(model.predictions, day, [*keys, "score"])
    outcomes = platform.lake.read(group.table, day, list(dict.fromkeys([*keys, *model.label.expression.columns])))
    known = pa.table({**{key: outcomes[key] for key in keys}, "label": labels(model.label.expression, outcomes, model.task)})
    joined = predicted.join(known, keys, join_type="left outer")
    labelled = joined.filter(pc.is_valid(joined["label"]))
    coverage = labelled.num_rows / max(predicted.num_rows, 1)
    y, scores = labelled["label"].cast(pa.float64()).to_numpy(), labelled["score"].to_numpy()
    found = evaluate(model.task, y, scores) if labelled.num_rows else {}
    values = {name: None if isnan(value) else value for name, value in found.items()}
    platform.ledger.monitoring.record(
        model.name, ds, "performance", {**values, "coverage": coverage, "labelled": float(labelled.num_rows)}, version, run_id
    )
    verdict = _judge(platform, model, ds, version, values.get(model.gate.metric), coverage, run_id)
    if verdict and act:
        _tell(platform, model, verdict)
    log.info("performance of %s v%d on %s: %s, coverage %.3f", model.name, version, ds, values, coverage)
    return Measured(ds, values, coverage, verdict)


def _judge(
    platform: Platform, model: Model, ds: date, version: int, realised: float | None, coverage: float, run_id: str
) -> Verdict | None:
    promised = platform.registry.version(model.name, version).metrics.get(model.gate.metric)
    if realised is None or promised is None:
        return None
    bad = fell(realised, promised, model.retraining.performance_drop, higher_is_better=model.higher_is_better)
    earlier = [(v.ds, v.bad) for v in platform.ledger.monitoring.verdicts(model.name, "performance", ds) if v.ds < ds and v.version == version]
    confirmation = confirm([*earlier, (ds, bad)], model.monitoring.persistence, model.monitoring.windows)
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
    if not verdict.confirmed:
        if not verdict.bad:
            platform.alerts.recover("performance", model.name, verdict.ds, f"{found['metric']} is {found['realised']:.3f} again")
        return
    platform.alerts.send(
        Alert(
            kind="performance",
            subject=model.name,
            ds=verdict.ds,
            severity="warning",
            title=f"{model.name} v{verdict.version}: {found['metric']} fell to {found['realised']:.3f}",
            summary=f"The holdout promised {found['holdout']:.3f}. Retraining starts by itself where the specification allows it.",
            numbers={found["metric"]: f"{found['realised']:.3f}", "holdout": f"{found['holdout']:.3f}", "coverage": f"{found['coverage']:.1%}"},
            links={"Model version": platform.registry.version_url(model.name, verdict.version or 0)},
            since=verdict.since,
            channel=model.alerts.channel,
            on_call=model.alerts.on_call,
        )
    )

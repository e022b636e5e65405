"""Monitor: a scored partition against the profile its version was trained on, by Evidently on bounded samples."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from include.mlops.alerts.alert import Alert
from include.mlops.errors import NotReady
from include.mlops.learner.distance import alike, distance, is_text
from include.mlops.learner.profile import draw, from_parquet
from include.mlops.ledger.monitoring import Verdict
from include.mlops.policy.drift import ColumnDrift, confirm, judge_night
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.report import keep
from include.mlops.steps.training_record import IMPORTANCES, REFERENCE, USUAL

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Monitored:
    verdict: Verdict
    distances: dict[str, float]


def monitor(platform: Platform, model: Model, ds: date, run_id: str) -> Monitored:
    """Measure drift of the features and the predictions of `ds`, keep the verdict, alert at the frontier.

    Raises NotReady where `ds` is not scored.
    """
    publication = platform.ledger.publications.over(model.predictions, Interval.day(ds)).get(ds)
    if publication is None or publication.version is None:
        raise NotReady(f"monitor {model.name} {ds}", [f"{model.predictions} of {ds}"])
    version = publication.version
    record = platform.registry.version(model.name, version)
    weights = {**json.loads(platform.registry.artifact(record, IMPORTANCES)), "score": 1.0}
    usual = json.loads(platform.registry.artifact(record, USUAL))
    reference = alike(from_parquet(platform.registry.artifact(record, REFERENCE)).to_pandas(), ds)
    current = _current(platform, model, ds)
    columns = [*model.features.columns, "score"]
    distances, html = _evidently(reference[columns], current[columns])
    drifts = {c: ColumnDrift(distances[c], usual.get(c, 0.0), weights.get(c, 0.0)) for c in columns}
    night = judge_night(drifts, model.monitoring.threshold, model.monitoring.share)
    path = keep(platform.settings, f"drift/{model.name}/{ds}.html", html)
    earlier = [(v.ds, v.bad) for v in platform.ledger.monitoring.verdicts(model.name, "drift", ds) if v.ds < ds and v.version == version]
    confirmation = confirm([*earlier, (ds, night.bad)], model.monitoring.persistence, model.monitoring.windows)
    detail = {"drifted": list(night.drifted), "weight": night.weight, "distances": distances, "rows": len(current), "reference": len(reference)}
    verdict = Verdict(model.name, ds, "drift", night.bad, confirmation.confirmed, run_id, version, confirmation.since, detail, path)
    platform.ledger.monitoring.record(model.name, ds, "drift", {**distances, "weight": night.weight}, version, run_id)
    platform.ledger.monitoring.judge(verdict)
    if platform.at_frontier(model.predictions, ds):
        _tell(platform, model, verdict)
    log.info("drift of %s v%d on %s: bad=%s confirmed=%s %s", model.name, version, ds, night.bad, confirmation.confirmed, night.drifted)
    return Monitored(verdict, distances)


def _current(platform: Platform, model: Model, ds: date) -> pd.DataFrame:
    """A bounded sample of the day's features with their scores, drawn by hash of the entity."""
    group = platform.specs.group(model.features.group)
    keys, day = list(group.keys), Interval.day(ds)
    table = f"features.{group.name}_v{model.features.version or group.version}"
    features = platform.lake.read(table, day, list(dict.fromkeys([*keys, *model.features.columns])))
    scores = platform.lake.read(model.predictions, day, [*keys, "score"])
    joined = features.join(scores, keys, join_type="inner")
    frame: pd.DataFrame = draw(joined, keys, platform.settings.sample_rows).to_pandas()
    return frame


def _evidently(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[dict[str, float], str]:
    """{column: distance} and the HTML report. A column without values on one side is left out of the report."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    lost = [c for c in reference.columns if reference[c].isna().all() or current[c].isna().all()]
    texts = [c for c in reference.columns if is_text(reference[c]) and c not in lost]
    numbers = [c for c in reference.columns if c not in [*texts, *lost]]
    shown = [*texts, *numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    metrics: list[Any] = [ValueDrift(column=c, method="jensenshannon" if c in texts else "wasserstein") for c in shown]
    run = Report(metrics).run(
        Dataset.from_pandas(current[shown], data_definition=definition),
        Dataset.from_pandas(reference[shown], data_definition=definition),
    )
    values = [float(metric["value"]) for metric in run.dict()["metrics"]]
    distances = dict(zip(shown, values, strict=True)) | {c: distance(reference[c], current[c]) for c in lost}
    return distances, run.get_html_str(as_iframe=False)


def _tell(platform: Platform, model: Model, verdict: Verdict) -> None:
    found: Mapping[str, Any] = verdict.detail
    if not verdict.confirmed:
        if not verdict.bad:
            platform.alerts.recover("drift", model.name, verdict.ds, "The newest partition looks like the training data again.")
        return
    platform.alerts.send(
        Alert(
            kind="drift",
            subject=model.name,
            ds=verdict.ds,
            severity="warning",
            title=f"{model.name} v{verdict.version}: {', '.join(found['drifted'][:3])} drifted",
            summary=(
                f"{len(found['drifted'])} column(s) that carry {found['weight']:.0%} of the model's weight differ from its training data. "
                "Retraining starts by itself once enough days have labels."
            ),
            numbers={c: f"distance {found['distances'][c]:.2f}" for c in found["drifted"][:6]},
            links={
                "Drift report": platform.report_url(verdict.report or ""),
                "Model version": platform.registry.version_url(model.name, verdict.version or 0),
            },
            since=verdict.since,
            channel=model.alerts.channel,
            on_call=model.alerts.on_call,
        )
    )

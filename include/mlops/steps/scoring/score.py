"""Score: predictions of each day by the version live for it, gated before the one commit that shows them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from include.mlops.errors import NoLiveVersion, NotReady, PartitionsFailed, ScoreGateFailed
from include.mlops.lake.views import ensure_latest
from include.mlops.learner.predict import load
from include.mlops.ledger.publications import Publication
from include.mlops.policy.carrier import SCORING_BYTES, choose
from include.mlops.policy.scoring import ScoreSummary, refusals
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import model_meaning
from include.mlops.spec.model import Model
from include.mlops.spec.tasks import STAMPS
from include.mlops.steps.overtaken import Read, made_from_newer, record_newest
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring.predictions import Job, Serving, Written
from include.mlops.steps.scoring.score_in_process import summarise_in_process, write_in_process
from include.mlops.steps.training.training_record import FEATURES_TABLE

log = logging.getLogger(__name__)
Known = Mapping[str, Mapping[date, Publication]]
"""By table and day."""


@dataclass(frozen=True)
class Scored:
    """Rows, version and mean score by day; the mean is None for a day without rows.

    Nothing was committed where `published` is False (a run on a sample).
    """

    model: str
    rows: dict[date, int]
    versions: dict[date, int]
    mean_score: dict[date, float | None]
    published: bool


def score(
    platform: Platform,
    model: Model,
    interval: Interval,
    run_id: str,
    *,
    version: int | None = None,
    sample: float | None = None,
) -> Scored:
    """Score `interval`, each day by the version live for it, or by `version`.

    With `sample` (a share of the entities, by hash) nothing is published. Raises NotReady where features are not
    published, and PartitionsFailed, after the commit of those that passed, where some were refused or no version was
    live for them.
    """
    days, failures, known = _serving(platform, model, interval, version)
    features = _published(model, days, known)
    passed: dict[date, ScoreSummary] = {}
    if days:
        keys = platform.specs.group(model.features.group).keys
        job = Job(model.predictions, keys, days, model.scoring.min_distinct, run_id, datetime.now(UTC), sample)
        if sample is None:
            written = _write(platform, model, job, sum(day.rows for day in features.values()))
            passed, refused = _judged(model, job, written.summaries, written.failures, features)
            if passed:
                shown = _publish(platform, model, job, passed, written, features)
                passed = {ds: found for ds, found in passed.items() if ds in shown}
            else:
                written.discard()
        else:
            passed, refused = _judged(model, job, *summarise_in_process(platform.lake, job), features=None)
        failures |= refused
    if failures:
        raise PartitionsFailed(f"score {model.name}", failures)
    return Scored(
        model.name,
        {ds: found.rows for ds, found in passed.items()},
        {ds: days[ds].record.number for ds in passed},
        {ds: found.mean for ds, found in passed.items()},
        published=sample is None,
    )


def _serving(
    platform: Platform, model: Model, interval: Interval, version: int | None
) -> tuple[dict[date, Serving], dict[date, str], Known]:
    """The version of each day, its table at one snapshot for all of its days; the days that have none; and what the
    ledger says of the tables.

    The ledger is asked before the lake: of a day that is published in between, the rows may be newer than what is
    recorded, which makes its scores stale, and never older, which nobody would see.
    """
    numbers: dict[date, int] = {}
    failures: dict[date, str] = {}
    for ds in interval:
        try:
            numbers[ds] = _live(platform, model, ds) if version is None else version
        except NoLiveVersion as error:
            failures[ds] = error.line()
    records = {number: platform.registry.version(model.name, number) for number in sorted(set(numbers.values()))}
    tables = {record.tag(FEATURES_TABLE) for record in records.values()}
    known = {table: platform.ledger.publications.over(table, interval) for table in tables}
    snapshots = {table: platform.lake.snapshot(table) if platform.lake.exists(table) else None for table in tables}
    serving: dict[int, Serving] = {}
    for number, record in records.items():
        table, file = record.tag(FEATURES_TABLE), platform.registry.model_file(record)
        serving[number] = Serving(record, file, load(file), table, snapshots[table])
    return {ds: serving[number] for ds, number in numbers.items()}, failures, known


def _live(platform: Platform, model: Model, ds: date) -> int:
    found = platform.ledger.releases.live(model.name, ds)
    if found is None:
        intervals = platform.ledger.releases.intervals(model.name)
        first = f"the first is live from {intervals[0].first_ds}" if intervals else "no version was released yet"
        raise NoLiveVersion(
            f"expected a version of {model.name} live on {ds}, found none ({first}); name one with --version"
        )
    return found


def _published(model: Model, days: Mapping[date, Serving], known: Known) -> dict[date, Publication]:
    """Each day's features as published. Raises NotReady naming the days whose features are not."""
    found = {ds: known[day.features][ds] for ds, day in days.items() if ds in known[day.features]}
    missing = [f"{days[ds].features} of {ds}" for ds in sorted(days) if ds not in found]
    if missing:
        raise NotReady(f"score {model.name} {Interval(min(days), max(days))}", missing)
    return found


def _write(platform: Platform, model: Model, job: Job, rows: int) -> Written:
    columns = _columns(platform, model, job)
    platform.lake.create(job.table, columns, staged=True, order=job.keys)
    ensure_latest(platform.lake, job.table)
    width = max(len(job.scorer(ds).columns) for ds in job.days)
    budget = platform.settings.task_memory_bytes
    carrier = choose(model.scoring.workers, rows, width, SCORING_BYTES, budget)
    if not carrier.is_spark:
        log.info("scoring %s in process: %s", model.name, carrier.reason)
        return write_in_process(platform.lake, job)
    log.info("scoring %s on Spark: %s", model.name, carrier.reason)
    from include.mlops.steps.scoring.score_on_spark import write_on_spark  # a night in process never loads pyspark

    return write_on_spark(platform.lake, platform.spark, job, columns)


def _columns(platform: Platform, model: Model, job: Job) -> dict[str, str]:
    """The table of predictions: keys, what the model says, how each row was made, and the day."""
    group = platform.specs.group(model.features.group)
    newest = job.days[max(job.days)].predictor
    return {**{key: group.publishes[key] for key in group.keys}, **newest.output_types, **STAMPS}


def _judged(
    model: Model,
    job: Job,
    summaries: Mapping[date, ScoreSummary],
    failures: Mapping[date, str],
    features: Mapping[date, Publication] | None,
) -> tuple[dict[date, ScoreSummary], dict[date, str]]:
    """The days that pass the gate, and why the others do not. A sample need not have the rows of `features`."""
    passed: dict[date, ScoreSummary] = {}
    refused = dict(failures)
    gate = model.scoring
    for ds, found in summaries.items():
        rows = found.rows if features is None else features[ds].rows
        reasons = refusals(found, rows, gate.minimum, gate.maximum, gate.min_distinct)
        if not reasons:
            passed[ds] = found
            continue
        serving = job.days[ds]
        refused[ds] = ScoreGateFailed(
            f"predictions of {model.name} v{serving.record.number} for {ds} were refused: {'; '.join(reasons)}. "
            f"Nothing was published; look at {serving.features} of {ds}, then score it again"
        ).line()
    return passed, refused


def _publish(
    platform: Platform,
    model: Model,
    job: Job,
    passed: Mapping[date, ScoreSummary],
    written: Written,
    features: Mapping[date, Publication],
) -> set[date]:
    """The days that were shown: not those that somebody scored meanwhile from newer features."""
    read = {ds: Read(job.days[ds].features, job.days[ds].snapshot, features[ds].digest) for ds in passed}
    newer = made_from_newer(platform, model.predictions, read)
    shown = {ds: found for ds, found in passed.items() if ds not in newer}
    for ds in sorted(newer):
        log.warning("%s of %s was scored meanwhile from newer features; those scores stay", model.name, ds)
    if not shown:
        written.discard()
        return set()
    digests = {ds: written.digest(ds) for ds in shown}
    snapshot = written.publish(shown)
    meaning = model_meaning(model)
    made = (
        Publication(
            dataset=model.predictions,
            ds=ds,
            rows=found.rows,
            meaning=meaning,
            run_id=job.run_id,
            snapshot_id=snapshot,
            inputs=_inputs(job.days[ds], features[ds]),
            version=job.days[ds].record.number,
            in_sample=job.days[ds].saw(ds),
            digest=digests[ds],
        )
        for ds, found in shown.items()
    )
    recorded = record_newest(platform, model.predictions, made)
    for ds in sorted(recorded):
        found = shown[ds]
        values = {"rows": float(found.rows), "mean": found.mean, "minimum": found.minimum, "maximum": found.maximum}
        platform.ledger.monitoring.record(model.name, ds, "score", values, job.days[ds].record.number, job.run_id)
    rows = sum(found.rows for found in shown.values())
    log.info("scored %s, %d day(s) from %s to %s: %d rows", model.name, len(shown), min(shown), max(shown), rows)
    return set(shown)


def _inputs(serving: Serving, read: Publication) -> dict[str, Any]:
    """The features of the day: the snapshot that was read, and what it held of that day."""
    return {serving.features: {"snapshot_id": serving.snapshot, "partitions": {str(read.ds): read.digest}}}

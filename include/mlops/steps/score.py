"""Score: predictions of each day by the version live for it, gated before the one commit that shows them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.mlops.errors import FeaturesUnusable, NoLiveVersion, NotReady, PartitionsFailed, ScoreGateFailed
from include.mlops.lake.digest import digest
from include.mlops.lake.views import ensure_latest
from include.mlops.learner.predict import Predictor, load
from include.mlops.learner.profile import hashes
from include.mlops.learner.tasks import SCORE
from include.mlops.ledger.publications import Publication
from include.mlops.policy.scoring import ScoreSummary, refusals
from include.mlops.registry.version import Version
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import model_meaning
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.training_record import FEATURES_TABLE

log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class _Serving:
    """A version ready to score, and the feature table that it was trained on."""

    record: Version
    predictor: Predictor
    features: str


@dataclass(frozen=True)
class _Partition:
    ds: date
    serving: _Serving
    inputs: dict[str, Any]
    table: pa.Table
    summary: ScoreSummary
    in_sample: bool

    @property
    def version(self) -> int:
        return self.serving.record.number

    @property
    def mean(self) -> float | None:
        mean: float | None = pc.mean(self.table[SCORE]).as_py()
        return mean


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
    scorer = _Scorer(platform, model, run_id, sample)
    serving: dict[date, _Serving] = {}
    failures: dict[date, str] = {}
    for ds in interval:
        try:
            serving[ds] = scorer.serving(_live(platform, model, ds) if version is None else version)
        except NoLiveVersion as error:
            failures[ds] = error.line()
    features = _published(platform, model, serving)
    passed: list[_Partition] = []
    for ds, chosen in serving.items():
        try:
            passed.append(scorer.partition(ds, chosen, features[ds]))
        except (ScoreGateFailed, FeaturesUnusable) as error:
            failures[ds] = error.line()
    if passed and sample is None:
        _commit(platform, model, passed, run_id)
    if failures:
        raise PartitionsFailed(f"score {model.name}", failures)
    return Scored(
        model.name,
        {p.ds: p.table.num_rows for p in passed},
        {p.ds: p.version for p in passed},
        {p.ds: p.mean for p in passed},
        published=sample is None,
    )


def in_sample(batch: pa.RecordBatch, keys: Sequence[str], share: float) -> pa.Array:
    """A mask that keeps about `share` of the entities, the same ones every day and in every run."""
    if share >= 1 or batch.num_rows == 0:
        return pa.repeat(pa.scalar(True), batch.num_rows)
    return pa.array(hashes(batch, keys) < np.uint64(share * 2.0**64))


def _live(platform: Platform, model: Model, ds: date) -> int:
    found = platform.ledger.releases.live(model.name, ds)
    if found is None:
        intervals = platform.ledger.releases.intervals(model.name)
        first = f"the first is live from {intervals[0].first_ds}" if intervals else "no version was released yet"
        raise NoLiveVersion(
            f"expected a version of {model.name} live on {ds}, found none ({first}); name one with --version"
        )
    return found


def _published(platform: Platform, model: Model, serving: Mapping[date, _Serving]) -> dict[date, Publication]:
    """Each day's features as published. Raises NotReady naming the days whose features are not."""
    found: dict[date, Publication] = {}
    for table in sorted({chosen.features for chosen in serving.values()}):
        days = [ds for ds, chosen in serving.items() if chosen.features == table]
        published = platform.ledger.publications.over(table, Interval(min(days), max(days)))
        found |= {ds: published[ds] for ds in days if ds in published}
    missing = [f"{serving[ds].features} of {ds}" for ds in sorted(serving) if ds not in found]
    if missing:
        raise NotReady(f"score {model.name} {Interval(min(serving), max(serving))}", missing)
    return found


class _Scorer:
    """Predictors by version, each table of features at one snapshot."""

    def __init__(self, platform: Platform, model: Model, run_id: str, sample: float | None) -> None:
        self._platform, self._model, self._run_id, self._sample = platform, model, run_id, sample
        self._keys = platform.specs.group(model.features.group).keys
        self._at = datetime.now(UTC)
        self._serving: dict[int, _Serving] = {}
        self._snapshots: dict[str, int | None] = {}

    def serving(self, number: int) -> _Serving:
        if number not in self._serving:
            record = self._platform.registry.version(self._model.name, number)
            predictor = load(self._platform.registry.model_file(record))
            self._serving[number] = _Serving(record, predictor, record.tag(FEATURES_TABLE))
        return self._serving[number]

    def partition(self, ds: date, serving: _Serving, published: Publication) -> _Partition:
        """One day's predictions, gated. Raises ScoreGateFailed, FeaturesUnusable."""
        record, features = serving.record, serving.features
        if features not in self._snapshots:
            self._snapshots[features] = self._platform.lake.snapshot(features)
        snapshot = self._snapshots[features]
        seen = ds in record.window or ds in record.holdout
        columns = list(dict.fromkeys([*self._keys, *serving.predictor.columns]))
        scored: list[pa.RecordBatch] = []
        for batch in self._platform.lake.batches(features, Interval.day(ds), columns, snapshot):
            rows = batch if self._sample is None else batch.filter(in_sample(batch, self._keys, self._sample))
            scored.append(self._shape(rows, serving.predictor.predict(rows), ds, record.number, seen=seen))
        table = pa.Table.from_batches(scored)
        summary = _summary(table, published.rows if self._sample is None else table.num_rows)
        gate = self._model.scoring
        reasons = refusals(summary, gate.minimum, gate.maximum, gate.min_distinct)
        if reasons:
            raise ScoreGateFailed(
                f"predictions of {self._model.name} v{record.number} for {ds} were refused: {'; '.join(reasons)}. "
                f"Nothing was published; look at {features} of {ds}, then score it again"
            )
        read = {"snapshot_id": snapshot, "partitions": {str(ds): published.digest}}
        return _Partition(ds, serving, {features: read}, table, summary, seen)

    def _shape(
        self, rows: pa.RecordBatch, scores: NDArray[np.float64], ds: date, version: int, *, seen: bool
    ) -> pa.RecordBatch:
        columns = {key: rows.column(key) for key in self._keys}
        columns[SCORE] = pa.array(scores, pa.float64(), from_pandas=True)
        same = {
            "model_version": pa.scalar(version, pa.int32()),
            "run_id": pa.scalar(self._run_id),
            "scored_at": pa.scalar(self._at, pa.timestamp("us", tz="UTC")),
            "in_sample": pa.scalar(seen),
            "ds": pa.scalar(ds, pa.date32()),
        }
        columns |= {name: pa.repeat(value, rows.num_rows) for name, value in same.items()}
        return pa.RecordBatch.from_pydict(columns)


def _summary(table: pa.Table, expected: int) -> ScoreSummary:
    scores = table[SCORE]
    bounds = pc.min_max(scores).as_py()
    distinct = pc.count_distinct(scores).as_py()
    return ScoreSummary(expected, table.num_rows, scores.null_count, distinct, bounds["min"], bounds["max"])


def _commit(platform: Platform, model: Model, passed: Collection[_Partition], run_id: str) -> None:
    group = platform.specs.group(model.features.group)
    columns: dict[str, str] = {key: group.publishes[key] for key in group.keys}
    columns |= {SCORE: "double", "model_version": "int", "run_id": "string", "scored_at": "timestamp"}
    columns |= {"in_sample": "boolean", "ds": "date"}
    platform.lake.create(model.predictions, columns)
    ensure_latest(platform.lake, model.predictions)
    rows = pa.concat_tables(p.table for p in passed)
    snapshot = platform.lake.replace(model.predictions, rows, [p.ds for p in passed])
    meaning = model_meaning(model)
    platform.ledger.publications.record(
        Publication(
            dataset=model.predictions,
            ds=p.ds,
            rows=p.table.num_rows,
            meaning=meaning,
            run_id=run_id,
            snapshot_id=snapshot,
            inputs=p.inputs,
            version=p.version,
            in_sample=p.in_sample,
            digest=digest(p.table.to_batches(), without=("run_id", "scored_at")),
        )
        for p in passed
    )
    for p in passed:
        bounds = {"minimum": p.summary.minimum, "maximum": p.summary.maximum}
        values = {"rows": float(p.table.num_rows), "mean": p.mean, **bounds}
        platform.ledger.monitoring.record(model.name, p.ds, "score", values, p.version, run_id)
    days = [p.ds for p in passed]
    log.info("scored %s, %d day(s) from %s to %s: %d rows", model.name, len(days), min(days), max(days), rows.num_rows)

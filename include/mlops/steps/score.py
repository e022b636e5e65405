"""Score: predictions of each partition by the version that was live for it, gated before the one commit that shows them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.errors import NoLiveVersion, NotReady, PartitionsFailed, ScoreGateFailed
from include.mlops.learner.predict import Predictor, load
from include.mlops.learner.profile import hashes
from include.mlops.ledger.publications import Publication
from include.mlops.policy.scoring import ScoreSummary, refusals
from include.mlops.registry.version import Version
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import model_meaning
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """Rows and version by day. Nothing was committed where `published` is False (a run on a sample)."""

    model: str
    rows: dict[date, int]
    versions: dict[date, int]
    mean_score: dict[date, float]
    published: bool


@dataclass(frozen=True)
class _Partition:
    ds: date
    version: int
    table: pa.Table
    summary: ScoreSummary
    in_sample: bool

    @property
    def mean(self) -> float:
        return float(pc.mean(self.table["score"]).as_py() or 0.0)


def score(
    platform: Platform, model: Model, interval: Interval, run_id: str, *, version: int | None = None, sample: float | None = None
) -> Scored:
    """Score `interval`, each day by the version live for it, or by `version`.

    With `sample` (a share of the entities, by hash) nothing is published. Raises NotReady where features are not
    published, NoLiveVersion, and PartitionsFailed after the commit of those that passed where some were refused.
    """
    scorer = _Scorer(platform, model, run_id, version, sample)
    scorer.require_features(interval)
    passed: list[_Partition] = []
    failures: dict[date, str] = {}
    for ds in interval:
        try:
            passed.append(scorer.partition(ds))
        except (NoLiveVersion, ScoreGateFailed) as error:
            failures[ds] = error.line()
    if passed and sample is None:
        _commit(platform, model, scorer, passed, run_id)
    if failures:
        raise PartitionsFailed(f"score {model.name}", failures)
    return Scored(
        model.name,
        {p.ds: p.table.num_rows for p in passed},
        {p.ds: p.version for p in passed},
        {p.ds: p.mean for p in passed},
        published=sample is None,
    )


class _Scorer:
    """Predictors by version, over one snapshot of the features."""

    def __init__(self, platform: Platform, model: Model, run_id: str, version: int | None, sample: float | None) -> None:
        self._platform, self._model, self._run_id, self._version, self._sample = platform, model, run_id, version, sample
        self.group = platform.specs.group(model.features.group)
        self.features = f"features.{self.group.name}_v{model.features.version or self.group.version}"
        self.snapshot = platform.lake.snapshot(self.features)
        self._versions: dict[int, tuple[Version, Predictor]] = {}

    def require_features(self, interval: Interval) -> None:
        missing = self._platform.ledger.publications.missing(self.features, interval)
        if missing:
            raise NotReady(f"score {self._model.name} {interval}", [f"{self.features} of {ds}" for ds in missing])

    def partition(self, ds: date) -> _Partition:
        """One day's predictions, gated. Raises NoLiveVersion, ScoreGateFailed."""
        version = self._version or self._live(ds)
        record, predictor = self._loaded(version)
        keys = list(self.group.keys)
        columns = list(dict.fromkeys([*keys, *predictor.columns]))
        scored: list[pa.RecordBatch] = []
        for batch in self._platform.lake.batches(self.features, Interval.day(ds), columns, self.snapshot):
            chosen = batch if self._sample is None else batch.filter(in_sample(batch, keys, self._sample))
            scored.append(self._shape(chosen.select(keys), predictor.predict(chosen), ds, version))
        table = pa.Table.from_batches(scored)
        expected = self._platform.ledger.publications.over(self.features, Interval.day(ds))[ds].rows
        summary = _summary(table, expected if self._sample is None else table.num_rows)
        gate = self._model.scoring
        reasons = refusals(summary, gate.minimum, gate.maximum, gate.min_distinct)
        if reasons:
            raise ScoreGateFailed(
                f"predictions of {self._model.name} v{version} for {ds} were refused: {'; '.join(reasons)}. Nothing was published; "
                f"look at the features of {ds}, then score it again"
            )
        return _Partition(ds, version, table, summary, ds in record.window or ds in record.holdout)

    def _live(self, ds: date) -> int:
        found = self._platform.ledger.releases.live(self._model.name, ds)
        if found is None:
            intervals = self._platform.ledger.releases.intervals(self._model.name)
            first = f"the first is live from {intervals[0].first_ds}" if intervals else "no version was released yet"
            raise NoLiveVersion(f"expected a version of {self._model.name} live on {ds}, found none ({first}); name one with --version")
        return found

    def _loaded(self, number: int) -> tuple[Version, Predictor]:
        if number not in self._versions:
            version = self._platform.registry.version(self._model.name, number)
            self._versions[number] = version, load(self._platform.registry.model_file(version))
        return self._versions[number]

    def _shape(self, keys: pa.RecordBatch, scores: np.ndarray, ds: date, version: int) -> pa.RecordBatch:
        rows = keys.num_rows
        arrays = [
            *keys.columns,
            pa.array(scores, pa.float64(), from_pandas=True),
            pa.repeat(pa.scalar(version, pa.int32()), rows),
            pa.repeat(pa.scalar(self._run_id), rows),
            pa.repeat(pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC")), rows),
            pa.repeat(pa.scalar(ds, pa.date32()), rows),
        ]
        return pa.RecordBatch.from_arrays(arrays, names=[*keys.schema.names, "score", "model_version", "run_id", "scored_at", "ds"])


def in_sample(batch: pa.RecordBatch, keys: Sequence[str], share: float) -> pa.Array:
    """A mask that keeps about `share` of the entities, the same ones every day and in every run."""
    return pa.array(hashes(batch, keys) <= np.uint64(share * np.iinfo(np.uint64).max))


def _summary(table: pa.Table, expected: int) -> ScoreSummary:
    scores = table["score"]
    bounds = pc.min_max(scores).as_py()
    return ScoreSummary(expected, table.num_rows, scores.null_count, pc.count_distinct(scores).as_py(), bounds["min"], bounds["max"])


def _commit(platform: Platform, model: Model, scorer: _Scorer, passed: list[_Partition], run_id: str) -> None:
    columns = {key: scorer.group.publishes[key] for key in scorer.group.keys}
    columns |= {"score": "double", "model_version": "int", "run_id": "string", "scored_at": "timestamp", "in_sample": "boolean", "ds": "date"}
    platform.lake.create(model.predictions, columns)
    tables = [_with_flag(p) for p in passed]
    rows = pa.concat_tables(tables).select(list(columns))
    snapshot = platform.lake.replace(model.predictions, rows, [p.ds for p in passed])
    inputs = {scorer.features: {"snapshot_id": scorer.snapshot}}
    platform.ledger.publications.record(
        Publication(
            dataset=model.predictions,
            ds=p.ds,
            rows=p.table.num_rows,
            meaning=model_meaning(model),
            run_id=run_id,
            snapshot_id=snapshot,
            inputs=inputs,
            version=p.version,
            in_sample=p.in_sample,
        )
        for p in passed
    )
    for p in passed:
        values = {"rows": float(p.table.num_rows), "mean": p.mean, "minimum": p.summary.minimum, "maximum": p.summary.maximum}
        platform.ledger.monitoring.record(model.name, p.ds, "score", values, p.version, run_id)
    log.info("scored %s %s..%s: %d rows", model.name, passed[0].ds, passed[-1].ds, rows.num_rows)


def _with_flag(partition: _Partition) -> pa.Table:
    return partition.table.append_column("in_sample", pa.repeat(pa.scalar(partition.in_sample), partition.table.num_rows))

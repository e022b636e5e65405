"""Scoring: batches of features in, batches of predictions out. Whoever carries the batches, this is what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.errors import FeaturesUnusable
from include.mlops.learner.encoding import decoded
from include.mlops.learner.predict import Predictor, load
from include.mlops.spec.tasks import SCORE

DAY = "ds"


@dataclass(frozen=True)
class Stamp:
    """How the rows of a day were made: the columns STAMPS but for the day itself."""

    model_version: int
    run_id: str
    scored_at: datetime
    in_sample: bool

    def columns(self, rows: int) -> dict[str, pa.Array]:
        """Dictionary-encoded where that saves writing a text for each row."""
        run_ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([self.run_id]))
        return {
            "model_version": pa.repeat(pa.scalar(self.model_version, pa.int32()), rows),
            "run_id": run_ids,
            "scored_at": pa.repeat(pa.scalar(self.scored_at, pa.timestamp("us", tz="UTC")), rows),
            "in_sample": pa.repeat(pa.scalar(self.in_sample), rows),
        }


@dataclass(frozen=True)
class Scorer:
    """A version at work: `keys` go along with each row."""

    predictor: Predictor
    keys: tuple[str, ...]
    stamp: Stamp

    @property
    def columns(self) -> list[str]:
        """The columns of the features that it reads."""
        return list(dict.fromkeys([*self.keys, *self.predictor.columns, DAY]))

    def score(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The predictions of `rows`, in their order. Raises FeaturesUnusable."""
        return self._shaped(rows, self.predictor.outputs(rows))

    def no_scores(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """As `score`, with nothing predicted."""
        kinds = {"double": pa.float64(), "string": pa.string()}
        nothing = {name: pa.nulls(rows.num_rows, kinds[kind]) for name, kind in self.predictor.output_types.items()}
        return self._shaped(rows, nothing)

    def _shaped(self, rows: pa.RecordBatch, outputs: Mapping[str, pa.Array]) -> pa.RecordBatch:
        keys = {key: rows.column(key) for key in self.keys}
        return pa.RecordBatch.from_pydict(
            {**keys, **outputs, **self.stamp.columns(rows.num_rows), DAY: rows.column(DAY)}
        )


class Tally:
    """Counts what a gate asks of predictions while they pass by."""

    def __init__(self, enough: int) -> None:
        self.rows = self.nulls = 0
        self.minimum: float | None = None
        self.maximum: float | None = None
        self._enough, self._distinct, self._sum = enough, set[float](), 0.0

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._add(batch.column(SCORE))
            yield batch

    @property
    def distinct(self) -> int:
        """Different scores, counted no further than is enough."""
        return len(self._distinct)

    @property
    def mean(self) -> float | None:
        known = self.rows - self.nulls
        return self._sum / known if known else None

    def _add(self, scores: pa.Array) -> None:
        self.rows += len(scores)
        self.nulls += scores.null_count
        if scores.null_count == len(scores):
            return
        bounds = pc.min_max(scores).as_py()
        self.minimum = bounds["min"] if self.minimum is None else min(self.minimum, bounds["min"])
        self.maximum = bounds["max"] if self.maximum is None else max(self.maximum, bounds["max"])
        self._sum += pc.sum(scores).as_py()
        if len(self._distinct) < self._enough:
            self._distinct |= set(pc.unique(scores).drop_null().to_pylist()[: self._enough])


def on_executor(
    model: str, keys: Sequence[str], stamp: Stamp, columns: Sequence[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The same for Spark's `mapInArrow`; `model` is the name under which the model file was sent to the executors,
    `columns` the order in which Spark expects them.

    A day's rows in a batch with features that cannot be used get no score: the gate refuses that day and no other.
    """

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import SparkFiles

        scorer = Scorer(load(Path(SparkFiles.get(model)), threads=1), tuple(keys), stamp)
        for batch in batches:
            for scored in _scored(scorer, batch):
                yield decoded(scored).select(columns)  # Spark takes no dictionaries

    return score


def _scored(scorer: Scorer, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    try:
        yield scorer.score(batch)
    except FeaturesUnusable:
        days = pc.unique(batch.column(DAY))
        if len(days) == 1:
            yield scorer.no_scores(batch)
        else:
            for ds in days:
                yield from _scored(scorer, batch.filter(pc.equal(batch.column(DAY), ds)))

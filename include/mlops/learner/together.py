"""Fitting by several workers together: each holds a share of the rows and grows the same trees.

XGBoost's own collective joins the workers (https://xgboost.readthedocs.io/en/stable/jvm/rabit.html is its protocol);
Spark's barrier mode starts them at once. `xgboost.spark` does the same, but asks for RDDs, which Spark Connect lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.learner.boosting import Stored
from include.mlops.learner.encoding import Encoder
from include.mlops.learner.fit import TRAINING, Examples, Fitted, boosted, encoded, finished
from include.mlops.learner.recipe import Recipe

PART, LABEL = "__part__", "__label__"
"""Columns beside the features: which part a row belongs to, and its label."""
RESULT = "model binary, digest string, importances string, rounds int, rows bigint, history string"
"""The one row that comes back; importances and the history of the rounds are JSON."""


def on_barrier(
    recipe: Recipe,
    encoder: Encoder,
    schema: pa.Schema,
    watched: Sequence[str],
    workers: int,
    stored: Stored | None = None,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow(..., barrier=True)` over `workers` partitions of rows with PART, LABEL and the features.

    `schema` is that of the rows, since a share may hold none. Each worker uses `recipe.threads`. The first one keeps
    its trees, which are those of all, in `stored`, and tells the others what was left there.
    """
    told, codes = recipe.to_dict(), encoder.to_json()

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import BarrierTaskContext
        from xgboost.collective import CommunicatorContext

        context = BarrierTaskContext.get()
        rows = pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)
        here = Recipe.from_dict(told)
        tracker, address = _tracker(context, workers)
        history: list[Mapping[str, float]] = []
        checkpoints = _SharedCheckpoints(stored, history, first=tracker is not None) if stored else None
        with CommunicatorContext(**address, dmlc_task_id=f"{context.partitionId():05}"):
            shares = {part: _share(rows, part) for part in (TRAINING, *watched)}
            del rows
            mine = encoded(Encoder.from_json(codes), shares.pop(TRAINING), shares, here)
            every = [json.loads(one) for one in context.allGather(json.dumps([mine.digest, mine.data.num_row()]))]
            prepared = replace(mine, digest=_of_all([digest for digest, _ in every]))
            booster = boosted(prepared, here, lambda _, metrics: history.append(dict(metrics)), checkpoints)
            fitted = finished(booster, prepared, here)
        if tracker:
            tracker.wait_for()
            yield _result(replace(fitted, rows=sum(rows for _, rows in every)), history)

    return train


def read_result(row: Mapping[str, Any]) -> tuple[Fitted, list[dict[str, float]]]:
    """The model, and the metrics after each round."""
    fitted = Fitted(bytes(row["model"]), row["digest"], json.loads(row["importances"]), row["rounds"], row["rows"])
    return fitted, json.loads(row["history"])


class _SharedCheckpoints:
    """What the first worker finds is told to all, so that they go on from the same trees."""

    def __init__(self, stored: Stored, history: list[Mapping[str, float]], *, first: bool) -> None:
        self._stored, self._history, self._first = stored, history, first
        self.every = stored.every

    def left(self) -> Iterator[bytes]:
        from xgboost.collective import broadcast

        found = self._stored.left() if self._first else iter(())
        while content := broadcast(next(found, b""), 0):
            yield content

    def resumed(self, rounds: Sequence[Mapping[str, float]]) -> None:
        self._history[:] = rounds

    def keep(self, number: int, content: bytes) -> None:
        if self._first:
            self._stored.keep(number, content)


def _of_all(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]


def _result(fitted: Fitted, history: Sequence[Mapping[str, float]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "model": pa.array([fitted.model], pa.binary()),
            "digest": [fitted.digest],
            "importances": [json.dumps(fitted.importances)],
            "rounds": pa.array([fitted.rounds], pa.int32()),
            "rows": pa.array([fitted.rows], pa.int64()),
            "history": [json.dumps(history)],
        }
    )


def _share(rows: pa.Table, part: str) -> Examples:
    mine = rows.filter(pc.equal(rows[PART], part))
    return Examples(mine.drop_columns([PART, LABEL]), mine[LABEL].to_numpy().astype(np.float64, copy=False))


def _tracker(context: Any, workers: int) -> tuple[Any, dict[str, Any]]:
    """The first worker starts what the others meet at, and tells them its address; None for the others."""
    from xgboost.tracker import RabitTracker

    tracker = None
    if context.partitionId() == 0:
        host = context.getTaskInfos()[0].address.split(":")[0]
        tracker = RabitTracker(n_workers=workers, host_ip=host, sortby="task")
        tracker.start()
    told = context.allGather(json.dumps(tracker.worker_args()) if tracker else "")
    address: dict[str, Any] = json.loads(told[0])
    return tracker, address

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

from include.mlops.learner.encoding import Encoder
from include.mlops.learner.fit import TRAINING, Examples, Fitted, boosted, encoded, finished
from include.mlops.learner.recipe import Recipe

PART, LABEL = "__part__", "__label__"
"""Columns beside the features: which part a row belongs to, and its label."""
RESULT = "model binary, digest string, importances string, rounds int, rows bigint, history string"
"""The one row that comes back; importances and the history of the rounds are JSON."""


def on_barrier(
    recipe: Recipe, encoder: Encoder, schema: pa.Schema, watched: Sequence[str], workers: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow(..., barrier=True)` over `workers` partitions of rows with PART, LABEL and the features.

    `schema` is that of the rows, since a share may hold none. Each worker uses `recipe.threads`.
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
        with CommunicatorContext(**address, dmlc_task_id=f"{context.partitionId():05}"):
            shares = {part: _share(rows, part) for part in (TRAINING, *watched)}
            del rows
            prepared = encoded(Encoder.from_json(codes), shares.pop(TRAINING), shares, here)
            booster = boosted(prepared, here, lambda _, metrics: history.append(dict(metrics)))
            fitted = finished(booster, prepared, here)
        shares_told = context.allGather(json.dumps([prepared.digest, fitted.rows]))
        if tracker:
            tracker.wait_for()
            yield _result(_of_all(fitted, shares_told), history)

    return train


def read_result(row: Mapping[str, Any]) -> tuple[Fitted, list[dict[str, float]]]:
    """The model, and the metrics after each round."""
    fitted = Fitted(bytes(row["model"]), row["digest"], json.loads(row["importances"]), row["rounds"], row["rows"])
    return fitted, json.loads(row["history"])


def _of_all(fitted: Fitted, shares: Sequence[str]) -> Fitted:
    """Digest and rows of all shares in place of one's own; `shares` are [digest, rows] as JSON."""
    digests, rows = zip(*map(json.loads, shares), strict=True)
    return replace(fitted, digest=hashlib.sha256("".join(digests).encode()).hexdigest()[:32], rows=sum(rows))


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

"""Predicting: rows in, scores out. A model is one file; its encoder and its classes lie in it as attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost as xgb
from numpy.typing import NDArray

from include.mlops.errors import FeaturesUnusable
from include.mlops.learner.encoding import Encoder, Rows
from include.mlops.spec.tasks import PREDICTED, SCORE, WATCHED, output_columns, score_of

ENCODER, CLASSES = "mlops_encoder", "mlops_classes"
"""The attributes of a model file."""


@dataclass(frozen=True)
class Predictor:
    """A model ready to score. `classes` are named ones, in the order of their codes; most tasks have none."""

    booster: xgb.Booster
    encoder: Encoder
    classes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns that it needs."""
        return self.encoder.columns

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """(rows,) scores, or (rows, classes) probabilities; batch by batch they equal those of the whole.

        Raises FeaturesUnusable.
        """
        if rows.num_rows == 0:
            return np.empty((0, len(self.classes)) if self.classes else 0)
        scores: NDArray[np.float64] = self.booster.inplace_predict(self.encoder.encode(rows)).astype(np.float64)
        return scores

    @property
    def output_types(self) -> dict[str, str]:
        """The columns of `outputs`, with the lake's types."""
        return output_columns(self.classes)

    @property
    def watched(self) -> tuple[str, ...]:
        """Those of `outputs` whose drift is measured: the score, and the class where there is one."""
        return tuple(name for name in WATCHED if name in self.output_types)

    def outputs(self, rows: Rows) -> dict[str, pa.Array]:
        """What is published of each row, by column; null where the model gave no number. Raises FeaturesUnusable."""
        scores = self.predict(rows)
        if not self.classes:
            return {SCORE: _doubles(scores)}
        names = pa.array(self.classes).take(pa.array(scores.argmax(axis=1)))
        each = {score_of(name): _doubles(column) for name, column in zip(self.classes, scores.T, strict=True)}
        return {SCORE: _doubles(scores.max(axis=1)), PREDICTED: names, **each}


def load(model: bytes | Path, threads: int | None = None) -> Predictor:
    """Read a model file, or its bytes. `threads`: one on a Spark executor that runs several tasks; None: all cores."""
    booster = xgb.Booster({"nthread": threads} if threads else None)
    try:
        booster.load_model(bytearray(model) if isinstance(model, bytes) else str(model))
    except xgb.core.XGBoostError as error:
        raise FeaturesUnusable(
            f"expected an XGBoost model file, found {_shown(model)}: {str(error).splitlines()[0]}"
        ) from error
    encoder = booster.attr(ENCODER)
    if encoder is None:
        raise FeaturesUnusable(
            f"expected a model that this library trained, found {_shown(model)} without the attribute {ENCODER}"
        )
    return Predictor(booster, Encoder.from_json(encoder), tuple(json.loads(booster.attr(CLASSES) or "[]")))


def published(table: pa.Table, classes: Sequence[str] = ()) -> NDArray[np.float64]:
    """What `predict` gave, (rows,) or (rows, classes), from the columns that `outputs` made of it."""
    if not classes:
        return np.asarray(table[SCORE].to_numpy(), np.float64)
    return np.column_stack([table[score_of(name)].to_numpy() for name in classes])


def _doubles(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


def _shown(model: bytes | Path) -> str:
    return f"{len(model)} bytes" if isinstance(model, bytes) else str(model)

"""Predicting: rows in, one double for each. A model is one file; its encoder lies in it as an attribute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from include.mlops.errors import FeaturesUnusable
from include.mlops.learner.encoding import Encoder, Rows

ENCODER = "mlops_encoder"


@dataclass(frozen=True)
class Predictor:
    """A model ready to score."""

    booster: xgb.Booster
    encoder: Encoder

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns that it needs."""
        return self.encoder.columns

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """(rows,) scores; batch by batch they equal those of the whole. Raises FeaturesUnusable."""
        if rows.num_rows == 0:
            return np.empty(0)
        scores: NDArray[np.float64] = self.booster.inplace_predict(self.encoder.encode(rows)).astype(np.float64)
        return scores


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
    return Predictor(booster, Encoder.from_json(encoder))


def _shown(model: bytes | Path) -> str:
    return f"{len(model)} bytes" if isinstance(model, bytes) else str(model)

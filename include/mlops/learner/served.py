"""What MLflow calls to serve a model (`models:/<name>@champion`): a data frame in, the columns of predictions out.

This file travels with each model, with the few others that it imports.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.mlops.learner.predict import Predictor, load

if TYPE_CHECKING:
    import pandas as pd


class Served:
    """A model behind MLflow's `predict`."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        del params
        rows = pa.Table.from_pandas(frame[list(self._predictor.columns)], preserve_index=False)
        return pa.table(self._predictor.outputs(rows)).to_pandas().set_index(frame.index)


def _load_pyfunc(path: str) -> Served:
    return Served(load(Path(path)))

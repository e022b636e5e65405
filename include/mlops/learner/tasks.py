"""The kinds of model, each in one place: XGBoost's objective, the labels it takes, what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.mlops.learner import metrics

SCORE = "score"
"""The column of predictions: a probability (binary) or a value (regression)."""


@dataclass(frozen=True)
class Task:
    """`metrics` are judged once on the holdout; `round_metrics` (ours: XGBoost's name) are followed while boosting."""

    objective: str
    metrics: Mapping[str, metrics.Metric]
    round_metrics: Mapping[str, str]
    label_values: tuple[float, ...] | None = None
    parameters: Mapping[str, Any] | None = None


TASKS: Mapping[str, Task] = {
    "binary": Task(
        objective="binary:logistic",
        metrics={
            "roc_auc": metrics.roc_auc,
            "average_precision": metrics.average_precision,
            "log_loss": metrics.log_loss,
            "brier": metrics.brier,
        },
        round_metrics={"log_loss": "logloss", "roc_auc": "auc"},
        label_values=(0.0, 1.0),
    ),
    "regression": Task(
        objective="reg:squarederror",
        metrics={"rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2},
        round_metrics={"mae": "mae", "rmse": "rmse"},
    ),
}

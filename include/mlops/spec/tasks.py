"""The kinds of model, each in one place: what its label gives, XGBoost's objective, what is measured and drawn.

Metrics and plots are named here; the functions of these names are in `learner/metrics.py` and `learner/plots.py`.
This file travels with each model, so it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

TaskName = Literal["binary", "regression"]
SCORE, PREDICTED = "score", "predicted"
"""Columns of predictions. The score is a probability or a value; with named classes it is the probability of the
predicted one."""


def output_columns(classes: Sequence[str] = ()) -> dict[str, str]:
    """What a model publishes of each row, with the lake's types: `score`, and for named classes all that is said."""
    if not classes:
        return {SCORE: "double"}
    return {SCORE: "double", PREDICTED: "string", **dict.fromkeys(map(score_of, classes), "double")}


def score_of(name: str) -> str:
    """The column of a class's probability."""
    return f"{SCORE}_{name}"


@dataclass(frozen=True)
class Metric:
    """Whether more is better, and the values that it can take."""

    higher_is_better: bool
    low: float = 0.0
    high: float = inf


@dataclass(frozen=True)
class Task:
    """`label` is what the label's expression must give, in the words of a message.

    `metrics` are judged once on the holdout; `round_metrics` (ours: XGBoost's name) are followed while boosting.
    `label_values` are the only ones that a label takes, where they are fixed.
    """

    label: str
    objective: str
    metrics: Mapping[str, Metric]
    round_metrics: Mapping[str, str]
    label_values: tuple[float, ...] = ()


TASKS: Mapping[str, Task] = {
    "binary": Task(
        label="true or false",
        objective="binary:logistic",
        metrics={
            "roc_auc": Metric(True, high=1),
            "average_precision": Metric(True, high=1),
            "log_loss": Metric(False),
            "brier": Metric(False, high=1),
        },
        round_metrics={"log_loss": "logloss", "roc_auc": "auc"},
        label_values=(0.0, 1.0),
    ),
    "regression": Task(
        label="a number",
        objective="reg:squarederror",
        metrics={"rmse": Metric(False), "mae": Metric(False), "r2": Metric(True, low=-inf, high=1)},
        round_metrics={"mae": "mae", "rmse": "rmse"},
    ),
}

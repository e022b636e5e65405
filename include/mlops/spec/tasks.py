"""The kinds of model, each in one place: what its label gives, XGBoost's objective, what is measured and drawn.

Metrics and plots are named here; the functions of these names are in `learner/metrics.py` and `learner/plots.py`.
This file travels with each model, so it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]
SCORE, PREDICTED = "score", "predicted"
"""Columns of predictions. The score is a probability or a value; with named classes it is the probability of the
predicted one."""
WATCHED = (SCORE, PREDICTED)
"""Those of them whose drift is measured, where a version has them."""


STAMPS = {
    "model_version": "int", "run_id": "string", "scored_at": "timestamp", "in_sample": "boolean", "ds": "date",
}  # fmt: skip
"""What each row of predictions says of how it was made and for which day, with the lake's types."""


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
    """Whether more is better, and the values that it can take.

    `drop` is how far realised performance may fall below the holdout's unless a model says otherwise; where `relative`
    (the metric has the label's own unit) it is a share of the holdout's.
    """

    higher_is_better: bool
    low: float = 0.0
    high: float = inf
    drop: float = 0.05
    relative: bool = False


@dataclass(frozen=True)
class Task:
    """`label` is what the label's expression must give, in the words of a message. Of XGBoost's `objectives` the first
    is taken unless a model names another.

    `metrics` are judged once on the holdout; `round_metrics` (ours: XGBoost's name) are followed while boosting.
    A label's code is the place of its class in `classes`; with `named_classes` the specification gives that list, and
    without either a label is a value. `plots` show a holdout. `first_gate` is a metric without a unit, and a bound
    that a model reaches which learned anything: where a new specification starts.
    """

    label: str
    objectives: tuple[str, ...]
    metrics: Mapping[str, Metric]
    round_metrics: Mapping[str, str]
    plots: tuple[str, ...]
    first_gate: tuple[str, float]
    classes: tuple[str, ...] = ()
    named_classes: bool = False


TASKS: Mapping[str, Task] = {
    "binary": Task(
        label="true or false",
        objectives=("binary:logistic",),
        metrics={
            "roc_auc": Metric(True, high=1),
            "average_precision": Metric(True, high=1),
            "log_loss": Metric(False),
            "brier": Metric(False, high=1),
        },
        round_metrics={"log_loss": "logloss", "roc_auc": "auc"},
        plots=("roc_curve", "calibration"),
        first_gate=("roc_auc", 0.6),
        classes=("false", "true"),
    ),
    "multiclass": Task(
        label="a text",
        objectives=("multi:softprob",),
        metrics={
            "accuracy": Metric(True, high=1),
            "balanced_accuracy": Metric(True, high=1),
            "f1_macro": Metric(True, high=1),
            "roc_auc_ovr": Metric(True, high=1),
            "log_loss": Metric(False),
        },
        round_metrics={"log_loss": "mlogloss"},
        plots=("confusion_matrix",),
        first_gate=("roc_auc_ovr", 0.6),
        named_classes=True,
    ),
    "regression": Task(
        label="a number",
        objectives=("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:tweedie", "count:poisson"),
        metrics={
            "rmse": Metric(False, drop=0.25, relative=True),
            "mae": Metric(False, drop=0.25, relative=True),
            "r2": Metric(True, low=-inf, high=1),
        },
        round_metrics={"mae": "mae", "rmse": "rmse"},
        plots=("predicted_and_observed", "residuals"),
        first_gate=("r2", 0.05),
    ),
}

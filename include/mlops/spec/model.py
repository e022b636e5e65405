"""A model: one file `include/models/<name>.yaml`."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from include.mlops.spec.base import Column, Duration, Every, Flag, Name, Number, Restatement, Spec, Whole, repeated
from include.mlops.spec.expression import Expression
from include.mlops.spec.finding import Fault, Faults
from include.mlops.spec.interval import Interval
from include.mlops.spec.nearest import allowed

Task = Literal["binary", "regression"]
METRICS: dict[str, dict[str, bool]] = {
    "binary": {"roc_auc": True, "average_precision": True, "log_loss": False, "brier": False},
    "regression": {"rmse": False, "mae": False, "r2": True},
}
"""For each task its metrics, and whether more is better."""
RANGES: dict[str, tuple[float, float]] = {
    "roc_auc": (0, 1), "average_precision": (0, 1), "log_loss": (0, inf), "brier": (0, 1),
    "rmse": (0, inf), "mae": (0, inf), "r2": (-inf, 1),
}  # fmt: skip
"""Values that a metric can take."""


class Features(Spec):
    """The columns of one group that the model sees."""

    group: Name
    columns: tuple[Column, ...] = Field(min_length=1)
    version: Annotated[Whole, Field(ge=1)] | None = None

    @field_validator("columns")
    @classmethod
    def _each_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if twice := repeated(columns):
            raise ValueError(f"expected each column once, found twice: {', '.join(twice)}")
        return columns


class Label(Spec):
    """What is predicted: an expression over a group's columns, joined on the entity keys and ds."""

    group: Name
    expression: Expression
    due_after: Duration = 1


class Training(Spec):
    """What a version is fitted on. The newest `holdout` days judge it, the `window` before them train it."""

    every: Every = 7
    window: Duration
    holdout: Duration
    rounds: Annotated[Whole, Field(ge=1, le=10_000)] = 100
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 7
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 2
    device: Literal["cpu", "cuda"] = "cpu"

    @field_validator("window", "holdout")
    @classmethod
    def _not_empty(cls, days: int) -> int:
        if days < 1:
            raise ValueError(f"expected at least one day, found {days}d")
        return days

    @field_validator("parameters")
    @classmethod
    def _set_elsewhere(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        elsewhere = {
            "seed": "seed",
            "random_state": "seed",
            "nthread": "threads",
            "n_jobs": "threads",
            "device": "device",
            "objective": "task",
            "num_boost_round": "rounds",
            "n_estimators": "rounds",
        }
        faults = [
            Fault(
                ("training", "parameters", key), f"is set by the key '{elsewhere[key]}'; leave it out of the parameters"
            )
            for key in parameters
            if key in elsewhere
        ]
        if faults:
            raise Faults(faults)
        return parameters


class Gate(Spec):
    """What a version must reach on its holdout before it goes live."""

    metric: str
    minimum: Number | None = None
    maximum: Number | None = None
    beat_champion_by: Number = 0.0
    confidence: Annotated[Number, Field(gt=0.5, lt=1)] = 0.9

    @model_validator(mode="after")
    def _bounded(self) -> Gate:
        if (self.minimum is None) == (self.maximum is None):
            found = "both" if self.minimum is not None else "neither"
            raise ValueError(f"expected either a minimum or a maximum for {self.metric}, found {found}")
        return self


class ScoreGate(Spec):
    """What predictions of a partition must hold before they are published."""

    minimum: Number | None = None
    maximum: Number | None = None
    min_distinct: Annotated[Whole, Field(ge=1)] = 2

    @model_validator(mode="after")
    def _ordered(self) -> ScoreGate:
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(f"expected the minimum below the maximum, found {self.minimum:g} and {self.maximum:g}")
        return self


class Monitoring(Spec):
    """Drift against the training profile. A verdict takes `persistence` of the last `windows` nights, this one too."""

    threshold: Annotated[Number, Field(gt=0, le=10)] = 0.1
    share: Annotated[Number, Field(gt=0, le=1)] = 0.1
    """Weight (summed feature importance) of the drifted columns from which a night counts as drifted."""
    persistence: Annotated[Whole, Field(ge=1)] = 2
    windows: Annotated[Whole, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _reachable(self) -> Monitoring:
        if self.persistence > self.windows:
            raise ValueError(f"expected persistence within windows, found {self.persistence} of {self.windows}")
        return self


class Retraining(Spec):
    """When a new version is trained without being asked for."""

    on_drift: Flag = True
    on_performance: Flag = True
    cooldown: Duration = 7
    attempts: Annotated[int, Field(ge=1)] = 3
    """Trainings that drift or performance may start within one cooldown, rejected ones included."""
    labelled_days: Annotated[int, Field(ge=0)] | None = None
    """Days with labels since the shift began, before it may retrain. By default three more than the holdout: the newest
    days judge, and the ones before them must show the shift to the training."""
    performance_drop: Annotated[Number, Field(gt=0)] = 0.05
    """How far (in the gate's metric) realised performance may fall below the holdout's."""


class Alerts(Spec):
    channel: str | None = None
    on_call: str | None = None


class Model(Spec):
    """One supervised model over one feature group."""

    name: Name
    owner: str = Field(min_length=1)
    description: str = ""
    task: Task
    features: Features
    label: Label
    training: Training
    gate: Gate
    scoring: ScoreGate = ScoreGate()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    alerts: Alerts = Alerts()
    restatement: Restatement = "mark"
    """What happens to scores when their features are published again with other rows, and to what was measured."""

    @field_validator("gate")
    @classmethod
    def _metric_of_the_task(cls, gate: Gate, info: ValidationInfo) -> Gate:
        task = info.data.get("task")
        if task is None:
            return gate
        metrics = METRICS[task]
        if gate.metric not in metrics:
            raise Faults([Fault(("gate", "metric"), allowed(f"metric for the task {task}", gate.metric, metrics))])
        key, better = ("minimum", "more") if metrics[gate.metric] else ("maximum", "less")
        bound = getattr(gate, key)
        if bound is None:
            raise Faults([Fault(("gate", key), f"missing; {better} is better for {gate.metric}, so it needs a {key}")])
        low, high = RANGES[gate.metric]
        if not low <= bound <= high:
            raise Faults(
                [Fault(("gate", key), f"expected {_range(low, high)}, what {gate.metric} can be, found {bound:g}")]
            )
        return gate

    @property
    def predictions(self) -> str:
        """The table of published predictions in the lake."""
        return f"predictions.{self.name}"

    @property
    def drift(self) -> str:
        """The name under which the ledger keeps what the drift of a day was measured on."""
        return f"drift.{self.name}"

    @property
    def performance(self) -> str:
        """As `drift`, for realised performance."""
        return f"performance.{self.name}"

    @property
    def labelled_days(self) -> int:
        """Days with labels that a shift needs before it may retrain."""
        asked = self.retraining.labelled_days
        return self.training.holdout + 3 if asked is None else asked

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.task][self.gate.metric]

    def training_days(self, last_labelled: Interval) -> tuple[Interval, Interval]:
        """(training window, holdout), the holdout ending on the last day of `last_labelled`."""
        holdout = Interval(last_labelled.last, last_labelled.last).lagged((1 - self.training.holdout, 0))
        window = Interval.day(holdout.first).lagged((-self.training.window, -1))
        return window, holdout


def _range(low: float, high: float) -> str:
    if high == inf:
        return f"a number from {low:g} on"
    return f"a number up to {high:g}" if low == -inf else f"a number from {low:g} to {high:g}"

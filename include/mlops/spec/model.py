"""A model: one file `include/models/<name>.yaml`."""

from __future__ import annotations

from math import inf
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator

from include.mlops.spec.base import Column, Duration, Flag, Name, Number, Restatement, Spec, Whole, Workers, repeated
from include.mlops.spec.export import Exports
from include.mlops.spec.expression import Expression
from include.mlops.spec.finding import Fault, Faults
from include.mlops.spec.interval import Interval
from include.mlops.spec.nearest import allowed
from include.mlops.spec.tasks import TASKS, Metric, TaskName
from include.mlops.spec.training import Training, training_faults


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
    """What is predicted: an expression over a group's columns, joined on the entity keys and ds.

    `classes` are the texts that it gives, for a task that names them; their order is that of the codes.
    """

    group: Name
    expression: Expression
    classes: tuple[Column, ...] = ()
    due_after: Duration = 1

    @field_validator("classes")
    @classmethod
    def _told_apart(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if twice := repeated(classes, apart_from_case=True):
            raise ValueError(f"expected classes that differ in more than case, found {', '.join(twice)}")
        if 0 < len(classes) < 3:
            raise ValueError(f"expected at least 3 classes, found {len(classes)}; two are a condition and task: binary")
        return classes


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


class Scoring(Spec):
    """Who carries the data, and what predictions of a partition must hold before they are published."""

    workers: Workers = "auto"

    minimum: Number | None = None
    maximum: Number | None = None
    min_distinct: Annotated[Whole, Field(ge=1)] = 2

    @model_validator(mode="after")
    def _ordered(self) -> Scoring:
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
    performance_drop: Annotated[Number, Field(gt=0)] | None = None
    """How far (in the gate's metric) realised performance may fall below the holdout's. By default the metric's own."""


class Alerts(Spec):
    channel: str | None = None
    on_call: str | None = None


class Model(Spec):
    """One supervised model over one feature group."""

    name: Name
    owner: str = Field(min_length=1)
    description: str = ""
    task: TaskName
    features: Features
    label: Label
    training: Training
    gate: Gate
    scoring: Scoring = Scoring()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    alerts: Alerts = Alerts()
    exports: Exports = ()
    restatement: Restatement = "mark"
    """What happens to scores when their features are published again with other rows, and to what was measured."""

    @field_validator("label")
    @classmethod
    def _classes_of_the_task(cls, label: Label, info: ValidationInfo) -> Label:
        task, loc = info.data.get("task"), ("label", "classes")
        if task is None:
            return label
        if not TASKS[task].named_classes:
            if label.classes:
                named = ", ".join(name for name, found in TASKS.items() if found.named_classes)
                raise Faults([Fault(loc, f"the task {task} has none; leave them out, or set task: {named}")])
            return label
        if not label.classes:
            raise Faults([Fault(loc, f"missing; the task {task} needs them, such as [on_time, late, very_late]")])
        if unknown := [text for text in label.expression.texts if text not in label.classes]:
            raise Faults([Fault(("label", "expression"), allowed("class", text, label.classes)) for text in unknown])
        return label

    @field_validator("training")
    @classmethod
    def _objective_of_the_task(cls, training: Training, info: ValidationInfo) -> Training:
        task, asked = info.data.get("task"), training.parameters.get("objective")
        if task is not None and asked is not None and asked not in TASKS[task].objectives:
            message = allowed(f"objective for the task {task}", str(asked), TASKS[task].objectives)
            raise Faults([Fault(("training", "parameters", "objective"), message)])
        return training

    @field_validator("training")
    @classmethod
    def _training_of_the_rest(cls, training: Training, info: ValidationInfo) -> Training:
        task, features, label = (info.data.get(name) for name in ("task", "features", "label"))
        if task is None or features is None or label is None:
            return training
        classes = label.classes or TASKS[task].classes
        if faults := list(training_faults(training, task, TASKS[task].round_metrics, features.columns, classes)):
            raise Faults(faults)
        return training

    @field_validator("gate")
    @classmethod
    def _metric_of_the_task(cls, gate: Gate, info: ValidationInfo) -> Gate:
        task = info.data.get("task")
        if task is None:
            return gate
        metrics = TASKS[task].metrics
        if gate.metric not in metrics:
            raise Faults([Fault(("gate", "metric"), allowed(f"metric for the task {task}", gate.metric, metrics))])
        metric = metrics[gate.metric]
        key, better = ("minimum", "more") if metric.higher_is_better else ("maximum", "less")
        bound = getattr(gate, key)
        if bound is None:
            raise Faults([Fault(("gate", key), f"missing; {better} is better for {gate.metric}, so it needs a {key}")])
        if not metric.low <= bound <= metric.high:
            message = f"expected {_range(metric)}, what {gate.metric} can be, found {bound:g}"
            raise Faults([Fault(("gate", key), message)])
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
    def metric(self) -> Metric:
        """That of the gate."""
        return TASKS[self.task].metrics[self.gate.metric]

    @property
    def round_metrics(self) -> tuple[str, ...]:
        """Metrics that are followed while boosting."""
        return tuple(TASKS[self.task].round_metrics)

    @property
    def search_metric(self) -> str:
        """What a search for parameters betters: the gate's metric, where boosting can follow it."""
        return self.gate.metric if self.gate.metric in self.round_metrics else self.round_metrics[0]

    @property
    def class_weight(self) -> str | dict[float, float] | None:
        """`balanced`, or the weight of each class by its code in the labels."""
        asked = self.training.class_weight
        if asked is None or isinstance(asked, str):
            return asked
        return {float(self.class_names.index(name)): weight for name, weight in asked.items()}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their codes."""
        return self.label.classes or TASKS[self.task].classes

    @property
    def higher_is_better(self) -> bool:
        return self.metric.higher_is_better

    def performance_drop(self, promised: float) -> float:
        """How far the gate's metric may fall below what the holdout `promised`, in its own unit."""
        asked = self.retraining.performance_drop
        return self.metric.drop * (promised if self.metric.relative else 1) if asked is None else asked

    def training_days(self, last_labelled: Interval) -> tuple[Interval, Interval]:
        """(training window, holdout), the holdout ending on the last day of `last_labelled`."""
        holdout = Interval(last_labelled.last, last_labelled.last).lagged((1 - self.training.holdout, 0))
        window = Interval.day(holdout.first).lagged((-self.training.window, -1))
        return window, holdout


def _range(metric: Metric) -> str:
    if metric.high == inf:
        return f"a number from {metric.low:g} on"
    if metric.low == -inf:
        return f"a number up to {metric.high:g}"
    return f"a number from {metric.low:g} to {metric.high:g}"

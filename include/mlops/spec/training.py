"""How a version is fitted: the key `training` of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from include.mlops.spec.base import Column, Duration, Every, Flag, Number, Spec, Whole, Workers
from include.mlops.spec.finding import Fault, Faults
from include.mlops.spec.nearest import allowed

_ELSEWHERE = {
    "seed": "seed",
    "random_state": "seed",
    "seed_per_iteration": "seed",
    "nthread": "threads",
    "n_jobs": "threads",
    "device": "device",
    "num_class": "label.classes",
    "eval_metric": "task",
    "num_boost_round": "rounds",
    "n_estimators": "rounds",
    "early_stopping_rounds": "early_stopping",
    "scale_pos_weight": "class_weight",
    "monotone_constraints": "monotone",
}
"""XGBoost's parameters that keys of ours set."""
_ALIASES = {"eta": "learning_rate", "lambda": "reg_lambda", "alpha": "reg_alpha", "gamma": "min_split_loss"}
_SEARCHABLE = (
    "learning_rate", "max_depth", "max_leaves", "min_child_weight", "min_split_loss", "subsample", "colsample_bytree",
    "colsample_bylevel", "colsample_bynode", "reg_lambda", "reg_alpha", "max_delta_step", "grow_policy",
    "num_parallel_tree", "max_cat_to_onehot", "max_cat_threshold", *_ALIASES,
)  # fmt: skip
"""Those that a search may vary; the bins (max_bin) are made once for all trials."""


class EarlyStopping(Spec):
    """Boosting ends when the newest `validation` days of the window did not get better for `patience` rounds."""

    validation: Duration
    patience: Annotated[Whole, Field(ge=1, le=10_000)] = 20
    metric: str | None = None


def _bound(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"expected a number, found {value!r}")
    if value is not None and not isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r}")
    return value


Bound = Annotated[Any, AfterValidator(_bound)]


class Dimension(Spec):
    """What a search tries for one parameter: from `low` to `high`, whole numbers where both are, or some `choices`."""

    low: Bound = None
    high: Bound = None
    log: Flag = False
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) == 2:
            return {"low": value[0], "high": value[1]}
        if not isinstance(value, Mapping):
            message = f"expected [low, high], {{low, high, log}} or {{choices: [a, b]}}, found {value!r}"
            raise ValueError(message)  # noqa: TRY004 (pydantic wants ValueError)
        return value

    @model_validator(mode="after")
    def _sensible(self) -> Dimension:
        if self.choices is not None:
            if unfit := [one for one in self.choices if not isinstance(one, str | int | float)]:
                raise ValueError(f"expected texts, numbers, true or false as choices, found {unfit[0]!r}")
            if self.low is not None or self.high is not None or self.log or len(self.choices) < 2:
                raise ValueError("expected at least two choices, and nothing beside them")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices; one of them is missing")
        if self.low >= self.high:
            raise ValueError(f"expected low below high, found {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low above 0 on a logarithmic scale, found {self.low:g}")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


class Search(Spec):
    """Trials of other parameters, judged on validation days. It ends with whichever budget is spent first."""

    trials: Annotated[Whole, Field(ge=1, le=1000)] = 20
    minutes: Annotated[Number, Field(gt=0, le=10_080)] = 30.0
    validation: Duration | None = None
    space: dict[str, Dimension]

    @field_validator("space")
    @classmethod
    def _tunable(cls, space: dict[str, Dimension]) -> dict[str, Dimension]:
        if not space:
            raise ValueError("expected at least one parameter, such as max_depth: [3, 8]")
        at = ("training", "search", "space")
        faults = [Fault((*at, name), _refusal(name)) for name in space if name not in _SEARCHABLE]
        if faults:
            raise Faults(faults)
        return space


def _refusal(name: str) -> str:
    if name in _ELSEWHERE:
        return f"is set by the key '{_ELSEWHERE[name]}'; leave it out of the search"
    return allowed("parameter to search", name, _SEARCHABLE)


def _class_weight(value: Any) -> Any:
    if value == "balanced":
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            f"expected balanced, or a weight for each class such as {{true: 5, false: 1}}, found {value!r}"
        )
    wrong = [
        Fault(("training", "class_weight", name), f"expected a number above 0, found {weight!r}")
        for name, weight in value.items()
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9
    ]
    if wrong:
        raise Faults(wrong)
    return {name: float(weight) for name, weight in value.items()}


ClassWeight = Annotated[str | dict[str, float], BeforeValidator(_class_weight)]


class Training(Spec):
    """What a version is fitted on. The newest `holdout` days judge it, the `window` before them train it."""

    every: Every = 7
    window: Duration
    holdout: Duration
    rounds: Annotated[Whole, Field(ge=1, le=10_000)] = 100
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 7
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 2
    workers: Workers = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    early_stopping: EarlyStopping | None = None
    class_weight: ClassWeight | None = None
    monotone: dict[Column, Literal["increasing", "decreasing"]] = Field(default_factory=dict)
    search: Search | None = None
    checkpoint_every: Annotated[Whole, Field(ge=0, le=10_000)] = 25
    """Rounds between two checkpoints; 0 for none."""

    @field_validator("window", "holdout")
    @classmethod
    def _not_empty(cls, days: int) -> int:
        if days < 1:
            raise ValueError(f"expected at least one day, found {days}d")
        return days

    @field_validator("parameters")
    @classmethod
    def _set_elsewhere(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        faults = [
            Fault(
                ("training", "parameters", key),
                f"is set by the key '{_ELSEWHERE[key]}'; leave it out of the parameters",
            )
            for key in parameters
            if key in _ELSEWHERE
        ]
        if faults:
            raise Faults(faults)
        return parameters

    @model_validator(mode="after")
    def _fit_together(self) -> Training:
        if faults := [*self._validation_faults(), *self._search_faults()]:
            raise Faults(faults)
        return self

    @property
    def validation_days(self) -> int:
        """The newest days of the window that stop the boosting or judge trials."""
        if self.early_stopping:
            return self.early_stopping.validation
        return (self.search.validation or 0) if self.search else 0

    def _validation_faults(self) -> Iterator[Fault]:
        for name, part in (("early_stopping", self.early_stopping), ("search", self.search)):
            if part and part.validation is not None and not 1 <= part.validation < self.window:
                message = f"expected 1d to {self.window - 1}d, some of the {self.window}d of the window"
                yield Fault(("training", name, "validation"), f"{message}, found {part.validation}d")

    def _search_faults(self) -> Iterator[Fault]:
        if not self.search:
            return
        if self.search.validation is not None and self.early_stopping:
            yield Fault(("training", "search", "validation"), "is set by early_stopping.validation; leave it out")
        if self.search.validation is None and not self.early_stopping:
            message = "missing; trials are judged on the newest days of the window, such as validation: 7d"
            yield Fault(("training", "search", "validation"), message)
        fixed = {_ALIASES.get(name, name): name for name in self.parameters}
        for name in self.search.space:
            if other := fixed.get(_ALIASES.get(name, name)):
                message = f"is fixed by training.parameters.{other}; leave one of them out"
                yield Fault(("training", "search", "space", name), message)


def training_faults(
    training: Training, task: str, metrics: Collection[str], columns: Collection[str], classes: Collection[str]
) -> Iterator[Fault]:
    """What does not fit the rest of the model. `metrics` are those that are followed while boosting."""
    stopping, weight = training.early_stopping, training.class_weight
    if stopping and stopping.metric and stopping.metric not in metrics:
        message = allowed(f"metric to follow for the task {task}", stopping.metric, metrics)
        yield Fault(("training", "early_stopping", "metric"), message)
    if weight and not classes:
        yield Fault(("training", "class_weight"), f"the task {task} has no classes; leave it out")
    elif weight and not isinstance(weight, str):
        for name in weight:
            if name not in classes:
                yield Fault(("training", "class_weight", name), allowed("class", name, classes))
    for column in training.monotone:
        if column not in columns:
            yield Fault(("training", "monotone", column), allowed("column of features.columns", column, columns))

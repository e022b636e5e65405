"""The recipe of a fit, and what XGBoost is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from include.mlops.learner.boosting import Stopping
from include.mlops.spec.model import Model
from include.mlops.spec.tasks import TASKS

_DIRECTIONS = {"increasing": 1, "decreasing": -1}


@dataclass(frozen=True)
class Recipe:
    """Everything besides the rows that decides what a fit gives.

    `class_weight` is `balanced`, or weights by label code (1 where a code is not named); `monotone` says for columns
    whether the prediction may only rise (1) or only fall (-1) with them.
    """

    task: str
    columns: tuple[str, ...]
    rounds: int
    seed: int
    threads: int
    device: str = "cpu"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    early_stopping: Stopping | None = None
    class_weight: str | Mapping[float, float] | None = None
    monotone: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> Recipe:
        training = model.training
        stopping = None
        if asked := training.early_stopping:
            metric = asked.metric or model.round_metrics[0]
            stopping = Stopping(asked.patience, metric, TASKS[model.task].metrics[metric].higher_is_better)
        return cls(
            model.task,
            model.features.columns,
            training.rounds,
            training.seed,
            training.threads,
            training.device,
            training.parameters,
            stopping,
            model.class_weight,
            {name: _DIRECTIONS[way] for name, way in training.monotone.items()},
            model.label.classes,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Raises nothing for a recipe written before the newest of its keys existed."""
        stopping, weights = values.get("early_stopping"), values.get("class_weight")
        read = {
            "columns": tuple(values["columns"]),
            "classes": tuple(values.get("classes", ())),
            "early_stopping": Stopping(**stopping) if stopping else None,
            "class_weight": {float(code): weight for code, weight in weights.items()}
            if isinstance(weights, Mapping)
            else weights,
        }
        return cls(**{**values, **read})

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of their codes, from 0; none where labels are values."""
        return self.classes or TASKS[self.task].classes

    @property
    def codes(self) -> range:
        """The labels that there are."""
        return range(len(self.class_names))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def xgboost_parameters(recipe: Recipe) -> dict[str, Any]:
    """What XGBoost is told, wherever it runs."""
    task = TASKS[recipe.task]
    monotone = {"monotone_constraints": tuple(recipe.monotone.get(name, 0) for name in recipe.columns)}
    return {
        "tree_method": "hist",
        "objective": task.objectives[0],
        **recipe.parameters,
        **(monotone if recipe.monotone else {}),
        **({"num_class": len(recipe.classes)} if recipe.classes else {}),
        "eval_metric": list(task.round_metrics.values()),
        "seed": recipe.seed,
        "seed_per_iteration": True,
        "nthread": recipe.threads,
        "device": recipe.device,
        "verbosity": 0,
    }

"""Fitting: examples in, one model file out. The same examples, recipe and XGBoost give the same bytes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost as xgb
from numpy.typing import NDArray

from include.mlops.errors import SettingsError, TrainingFailed
from include.mlops.learner.encoding import Encoder, Matrix
from include.mlops.learner.predict import CLASSES, ENCODER
from include.mlops.spec.model import Model
from include.mlops.spec.tasks import TASKS, Task

OnRound = Callable[[int, Mapping[str, float]], None]
"""Called after each round with its number (from 1) and the holdout's metrics."""


@dataclass(frozen=True)
class Recipe:
    """Everything besides the rows that decides what a fit gives."""

    task: str
    columns: tuple[str, ...]
    rounds: int
    seed: int
    threads: int
    device: str = "cpu"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> Recipe:
        training = model.training
        return cls(
            model.task,
            model.features.columns,
            training.rounds,
            training.seed,
            training.threads,
            training.device,
            training.parameters,
            model.label.classes,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        return cls(**{**values, **{name: tuple(values.get(name, ())) for name in ("columns", "classes")}})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Examples:
    """Feature rows and their labels, (rows,) double without nulls, in one fixed order."""

    rows: pa.Table
    labels: NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """`model` is the UBJ file, `digest` a hash of what was fitted on, `importances` the share of the gain by column."""

    model: bytes
    digest: str
    importances: dict[str, float]


def fit(training: Examples, holdout: Examples, recipe: Recipe, on_round: OnRound) -> Fitted:
    """Boost `recipe.rounds` trees on `training`; `holdout` is only watched.

    Raises TrainingFailed where the examples or parameters cannot give a model, SettingsError without the device.
    """
    task = TASKS[recipe.task]
    _require_device(recipe.device)
    _require_examples(training, holdout, recipe)
    encoder = Encoder.learn(training.rows, recipe.columns)
    matrix = encoder.encode(training.rows)
    digest = _digest(encoder, matrix, training.labels)
    try:
        booster = _boost(_data(matrix, training.labels, encoder, recipe), holdout, encoder, recipe, task, on_round)
    except (xgb.core.XGBoostError, ValueError) as error:
        reason = str(error).split("\nStack trace")[0]
        raise TrainingFailed(
            f"XGBoost refused to train: {reason}; look at training.parameters, found {dict(recipe.parameters)}"
        ) from error
    booster.set_attr(**{ENCODER: encoder.to_json()})
    if recipe.classes:
        booster.set_attr(**{CLASSES: json.dumps(recipe.classes)})
    return Fitted(bytes(booster.save_raw("ubj")), digest, _importances(booster, encoder))


def _boost(
    data: xgb.QuantileDMatrix, holdout: Examples, encoder: Encoder, recipe: Recipe, task: Task, on_round: OnRound
) -> xgb.Booster:
    watched = _data(encoder.encode(holdout.rows), holdout.labels, encoder, recipe, ref=data)
    parameters = {
        "tree_method": "hist",
        "objective": task.objectives[0],
        **recipe.parameters,
        **({"num_class": len(recipe.classes)} if recipe.classes else {}),
        "eval_metric": list(task.round_metrics.values()),
        "seed": recipe.seed,
        "nthread": recipe.threads,
        "device": recipe.device,
        "verbosity": 0,
    }
    progress = _Progress(task, on_round)
    return xgb.train(
        parameters, data, recipe.rounds, evals=[(watched, "holdout")], callbacks=[progress], verbose_eval=False
    )


class _Progress(xgb.callback.TrainingCallback):
    def __init__(self, task: Task, on_round: OnRound) -> None:
        super().__init__()
        self._names, self._on_round = task.round_metrics, on_round

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: Any) -> bool:
        del model
        self._on_round(
            epoch + 1, {ours: float(evals_log["holdout"][theirs][-1]) for ours, theirs in self._names.items()}
        )
        return False


def _data(
    matrix: Matrix,
    labels: NDArray[np.float64],
    encoder: Encoder,
    recipe: Recipe,
    ref: xgb.QuantileDMatrix | None = None,
) -> xgb.QuantileDMatrix:
    return xgb.QuantileDMatrix(
        matrix,
        labels,
        feature_names=list(encoder.columns),
        feature_types=encoder.feature_types,
        enable_categorical=True,
        nthread=recipe.threads,
        max_bin=recipe.parameters.get("max_bin", 256),
        ref=ref,
    )


def _importances(booster: xgb.Booster, encoder: Encoder) -> dict[str, float]:
    gains: dict[str, Any] = dict(booster.get_score(importance_type="total_gain"))
    total = float(sum(gains.values())) or 1.0
    return {name: float(gains.get(name, 0.0)) / total for name in encoder.columns}


def _digest(encoder: Encoder, matrix: Matrix, labels: NDArray[np.float64]) -> str:
    found = hashlib.blake2b(encoder.to_json().encode(), digest_size=16)
    found.update(np.ascontiguousarray(matrix).data)
    found.update(np.ascontiguousarray(labels).data)
    return found.hexdigest()


def _require_examples(training: Examples, holdout: Examples, recipe: Recipe) -> None:
    for part, examples in (("training window", training), ("holdout", holdout)):
        if not len(examples.labels):
            raise TrainingFailed(
                f"expected labelled rows in the {part}, found none; are its labels published and not all null?"
            )
    names = np.array(recipe.classes or TASKS[recipe.task].classes)
    _require_classes("training window", training.labels, names, len(names))
    _require_classes("holdout", holdout.labels, names, min(2, len(names)))


def _require_classes(part: str, labels: NDArray[np.float64], names: NDArray[np.str_], least: int) -> None:
    """A model can only learn classes that it sees; what judges it may lack a rare one."""
    there = np.isin(np.arange(len(names)), labels)
    if there.sum() < least:
        raise TrainingFailed(
            f"expected at least {least} classes in the {part}, found only {', '.join(names[there])} "
            f"in {len(labels)} rows, none of {', '.join(names[~there])}; "
            "look at label.expression, or take a longer window or holdout"
        )


def _require_device(device: str) -> None:
    """XGBoost itself falls back to the CPU with a warning; a version must be trained where its spec says."""
    if device != "cuda":
        return
    if xgb.build_info().get("USE_CUDA"):
        data = xgb.DMatrix(np.zeros((1, 1)), label=[0])  # held here: a booster keeps no reference to its data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = json.loads(xgb.Booster({"device": device, "verbosity": 0}, [data]).save_config())
        if config["learner"]["generic_param"]["device"].startswith("cuda"):
            return
    raise SettingsError(
        "training.device: expected a CUDA device on this machine, found none; "
        "set device: cpu, or run training on a GPU worker"
    )

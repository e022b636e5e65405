"""Fitting: examples in, one model file out. The same examples, recipe and XGBoost give the same bytes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost as xgb
from numpy.typing import NDArray

from include.mlops.errors import SettingsError, TrainingFailed
from include.mlops.learner.boosting import VALIDATION, Checkpoints, OnRound, Rounds, boost
from include.mlops.learner.encoding import Encoder, Matrix
from include.mlops.learner.predict import CLASSES, ENCODER
from include.mlops.learner.recipe import Recipe, xgboost_parameters
from include.mlops.spec.tasks import TASKS

TRAINING, HOLDOUT = "training window", "holdout"
"""Parts of the examples, beside `validation`."""


@dataclass(frozen=True)
class Examples:
    """Feature rows and their labels, (rows,) double without nulls, in one fixed order."""

    rows: pa.Table
    labels: NDArray[np.float64]


@dataclass(frozen=True)
class Prepared:
    """Examples as XGBoost takes them, made once for all trials of a search. `digest` names the training rows."""

    encoder: Encoder
    digest: str
    data: xgb.QuantileDMatrix
    watched: Mapping[str, xgb.QuantileDMatrix]


@dataclass(frozen=True)
class Fitted:
    """`model` is the UBJ file, `digest` a hash of what was fitted on, `importances` the share of the gain by column.

    `rounds` are those that the model kept, `rows` those that it was fitted on.
    """

    model: bytes
    digest: str
    importances: dict[str, float]
    rounds: int
    rows: int


def fit(
    training: Examples,
    holdout: Examples,
    recipe: Recipe,
    on_round: OnRound,
    validation: Examples | None = None,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Boost `recipe.rounds` trees on `training`, fewer where `validation` stops it early; `holdout` is only watched.

    Raises TrainingFailed where the examples or parameters cannot give a model, SettingsError without the device.
    """
    watched = {HOLDOUT: holdout} | ({VALIDATION: validation} if validation else {})
    prepared = prepare(training, watched, recipe)
    return finished(boosted(prepared, recipe, on_round, checkpoints), prepared, recipe)


def finished(booster: xgb.Booster, prepared: Prepared, recipe: Recipe) -> Fitted:
    """The model file, which carries all that predicting takes."""
    rounds = booster.num_boosted_rounds()
    booster.set_attr(**{ENCODER: prepared.encoder.to_json()})
    if recipe.classes:
        booster.set_attr(**{CLASSES: json.dumps(recipe.classes)})
    model, importances = bytes(booster.save_raw("ubj")), _importances(booster, prepared.encoder)
    return Fitted(model, prepared.digest, importances, rounds, prepared.data.num_row())


def prepare(training: Examples, watched: Mapping[str, Examples], recipe: Recipe) -> Prepared:
    """Check and encode examples. Raises TrainingFailed, FeaturesUnusable, SettingsError."""
    require_device(recipe.device)
    for part, examples in {TRAINING: training, **watched}.items():
        require_labels(part, len(examples.labels), np.isin(recipe.codes, examples.labels), recipe)
    encoder = Encoder.learn(training.rows, recipe.columns)
    require_numbers(encoder, recipe)
    return encoded(encoder, training, watched, recipe)


def encoded(encoder: Encoder, training: Examples, watched: Mapping[str, Examples], recipe: Recipe) -> Prepared:
    """Where several workers hold a share each, all of them call this at once: the bins are those of all rows."""
    matrix = encoder.encode(training.rows)
    data = quantile_matrix(matrix, training.labels, encoder, recipe, weights(training.labels, recipe.class_weight))
    seen = {
        name: quantile_matrix(encoder.encode(part.rows), part.labels, encoder, recipe, ref=data)
        for name, part in watched.items()
    }
    return Prepared(encoder, _digest(encoder, matrix, training.labels), data, seen)


def boosted(
    prepared: Prepared, recipe: Recipe, on_round: OnRound, checkpoints: Checkpoints | None = None
) -> xgb.Booster:
    """Raises TrainingFailed for what XGBoost refuses."""
    names = TASKS[recipe.task].round_metrics
    rounds = Rounds(xgboost_parameters(recipe), recipe.rounds, prepared.data, prepared.watched, names)
    told = json.dumps([recipe.to_dict(), prepared.digest, xgb.__version__], sort_keys=True)
    try:
        return boost(
            rounds,
            on_round,
            recipe.early_stopping,
            checkpoints,
            hashlib.sha256(told.encode()).hexdigest(),
        )
    except (xgb.core.XGBoostError, ValueError) as error:
        reason = str(error).split("\nStack trace")[0]
        raise TrainingFailed(
            f"XGBoost refused to train: {reason}; look at training.parameters, found {dict(recipe.parameters)}"
        ) from error


def quantile_matrix(
    matrix: Matrix,
    labels: NDArray[np.float64],
    encoder: Encoder,
    recipe: Recipe,
    weight: NDArray[np.float32] | None = None,
    ref: xgb.QuantileDMatrix | None = None,
) -> xgb.QuantileDMatrix:
    """(rows, columns) as XGBoost bins them; rows that are only watched take the bins of the training rows, `ref`."""
    return xgb.QuantileDMatrix(
        matrix,
        labels,
        weight=weight,
        feature_names=list(encoder.columns),
        feature_types=encoder.feature_types,
        enable_categorical=True,
        nthread=recipe.threads,
        max_bin=recipe.parameters.get("max_bin", 256),
        ref=ref,
    )


def weights(
    labels: NDArray[np.float64], class_weight: str | Mapping[float, float] | None
) -> NDArray[np.float32] | None:
    """(rows,) weights by the code of each label. Balanced: every class weighs the same, rows 1 on average."""
    if class_weight is None:
        return None
    codes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if isinstance(class_weight, str):
        by_class = len(labels) / (len(codes) * counts)
    else:
        by_class = np.array([class_weight.get(float(code), 1.0) for code in codes])
    found: NDArray[np.float32] = by_class.astype(np.float32)[place]
    return found


def _importances(booster: xgb.Booster, encoder: Encoder) -> dict[str, float]:
    gains: dict[str, Any] = dict(booster.get_score(importance_type="total_gain"))
    total = float(sum(gains.values())) or 1.0
    return {name: float(gains.get(name, 0.0)) / total for name in encoder.columns}


def _digest(encoder: Encoder, matrix: Matrix, labels: NDArray[np.float64]) -> str:
    found = hashlib.blake2b(encoder.to_json().encode(), digest_size=16)
    found.update(np.ascontiguousarray(matrix).data)
    found.update(np.ascontiguousarray(labels).data)
    return found.hexdigest()


def require_labels(part: str, rows: int, there: NDArray[np.bool_], recipe: Recipe) -> None:
    """Raises TrainingFailed where a part has no rows, or lacks classes; `there` says which of the codes it has.

    A model can only learn classes that it sees; what judges it may lack a rare one.
    """
    if not rows:
        raise TrainingFailed(
            f"expected labelled rows in the {part}, found none; are its labels published and not all null?"
        )
    names = np.array(recipe.class_names)
    least = len(names) if part == TRAINING else min(2, len(names))
    if there.sum() < least:
        raise TrainingFailed(
            f"expected at least {least} classes in the {part}, found only {', '.join(names[there])} "
            f"in {rows} rows, none of {', '.join(names[~there])}; "
            "look at label.expression, or take a longer window, validation or holdout"
        )


def require_numbers(encoder: Encoder, recipe: Recipe) -> None:
    """Raises TrainingFailed where a text is to be monotone."""
    if texts := [name for name in recipe.monotone if name in encoder.vocabularies]:
        raise TrainingFailed(
            f"training.monotone: expected columns of numbers or booleans, found texts in {', '.join(texts)}, "
            "which have no order; leave them out"
        )


def require_device(device: str) -> None:
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

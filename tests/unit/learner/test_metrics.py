"""Our weighted metrics against scikit-learn's, and the bootstrap that they make fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as theirs

import include.mlops.learner.metrics as ours
from include.mlops.learner.evaluate import compare, evaluate
from include.mlops.learner.metrics import Metric
from include.mlops.spec.tasks import TASKS

RANDOM = np.random.default_rng(3)
LABELS = (RANDOM.random(500) < 0.3).astype(float)
SCORES = np.round(np.clip(RANDOM.normal(0.3, 0.2, 500) + 0.2 * LABELS, 0.001, 0.999), 2)  # rounded: with ties
VALUES, GUESSES = RANDOM.normal(size=500), RANDOM.normal(size=500)
WEIGHTS = RANDOM.integers(0, 4, 500).astype(float)

BINARY: dict[str, Callable[..., Any]] = {
    "roc_auc": theirs.roc_auc_score,
    "average_precision": theirs.average_precision_score,
    "log_loss": theirs.log_loss,
    "brier": theirs.brier_score_loss,
}
REGRESSION: dict[str, Callable[..., Any]] = {
    "rmse": theirs.root_mean_squared_error,
    "mae": theirs.mean_absolute_error,
    "r2": theirs.r2_score,
}


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_metric_is_scikit_learns_also_with_ties_and_weights(name: str) -> None:
    _agree(getattr(ours, name), BINARY[name], LABELS, SCORES)


def _hard(metric: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Of the most probable class."""
    return lambda codes, chances, **weights: metric(codes, chances.argmax(axis=1), **options, **weights)


MULTICLASS: dict[str, Callable[..., Any]] = {
    "accuracy": _hard(theirs.accuracy_score),
    "balanced_accuracy": _hard(theirs.balanced_accuracy_score),
    "f1_macro": _hard(theirs.f1_score, average="macro"),
    "roc_auc_ovr": lambda codes, chances, **weights: theirs.roc_auc_score(
        codes, chances, multi_class="ovr", average="macro", **weights
    ),
    "log_loss": theirs.log_loss,
}
CODES = RANDOM.integers(0, 3, 500).astype(float)
_RAW = RANDOM.random((500, 3)) + 0.5 * np.eye(3)[CODES.astype(int)]
CHANCES = _RAW / _RAW.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", MULTICLASS)
def test_a_metric_of_classes_is_scikit_learns_also_with_weights(name: str) -> None:
    _agree(getattr(ours, name), MULTICLASS[name], CODES, CHANCES)


def test_classes_that_do_not_occur_count_neither_for_nor_against() -> None:
    found = evaluate("multiclass", np.minimum(CODES, 1), np.column_stack([CHANCES[:, :2], np.zeros(500)]))
    assert found["balanced_accuracy"] == pytest.approx(
        theirs.balanced_accuracy_score(np.minimum(CODES, 1), CHANCES[:, :2].argmax(axis=1))
    )
    areas = [theirs.roc_auc_score(np.minimum(CODES, 1) == code, CHANCES[:, code]) for code in (0, 1)]
    assert found["roc_auc_ovr"] == pytest.approx(np.mean(areas))
    assert np.isnan(evaluate("multiclass", np.zeros(500), CHANCES)["roc_auc_ovr"])


@pytest.mark.parametrize("name", REGRESSION)
def test_a_regression_metric_is_scikit_learns_also_with_weights(name: str) -> None:
    _agree(getattr(ours, name), REGRESSION[name], VALUES, GUESSES)


def _agree(
    metric: Metric, other: Callable[..., Any], labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]
) -> None:
    weighted = metric(labels, scores)
    assert weighted(np.ones(500)) == pytest.approx(other(labels, scores), abs=1e-12)
    assert weighted(WEIGHTS) == pytest.approx(other(labels, scores, sample_weight=WEIGHTS), abs=1e-12)


def test_each_metric_of_the_registry_has_its_peer() -> None:
    peers = {"binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION}
    assert {task: set(found.metrics) for task, found in TASKS.items()} == {task: set(p) for task, p in peers.items()}


def test_a_ranking_metric_of_one_class_is_not_a_number() -> None:
    found = evaluate("binary", np.ones(5), np.linspace(0.1, 0.9, 5))
    assert np.isnan(found["roc_auc"])
    assert found["brier"] > 0


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    found = compare("roc_auc", LABELS, SCORES, SCORES, confidence=0.9)
    assert (found.value, found.low, found.high, found.rows) == (0, 0, 0, 500)


def test_the_interval_excludes_zero_where_one_model_is_clearly_better_and_is_mirrored_when_they_are_swapped() -> None:
    chance = RANDOM.random(500)
    better = compare("roc_auc", LABELS, SCORES, chance, confidence=0.9)
    worse = compare("roc_auc", LABELS, chance, SCORES, confidence=0.9)
    assert 0 < better.low < better.value < better.high
    assert (worse.low, worse.high) == (pytest.approx(-better.high), pytest.approx(-better.low))


def test_the_interval_is_the_same_each_time() -> None:
    first, second = (compare("mae", VALUES, GUESSES, VALUES * 0.5, confidence=0.8) for _ in range(2))
    assert first == second


def test_the_bootstrap_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    random = np.random.default_rng(5)
    labels, first, second = np.zeros(2000), random.normal(1, 0.2, 2000), np.full(2000, 0.9)
    found = compare("mae", labels, first, second, confidence=0.9)
    deviation = np.std(np.abs(first)) / np.sqrt(2000)
    assert found.high - found.low == pytest.approx(2 * 1.2816 * deviation, rel=0.15)

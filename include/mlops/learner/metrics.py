"""Metrics of weighted rows, under the names of `spec/tasks.py`.

Each takes labels and scores once and returns a function of weights, so that a bootstrap of hundreds of resamples sorts
only once. scikit-learn defines the same values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], float]
Counted = Callable[[Floats], Floats]
Metric = Callable[[Floats, Floats], Weighted]
"""(labels, scores), each (rows,) -> a function of weights (rows,) -> the metric; NaN where it is not defined.

Of named classes the labels are codes and the scores (rows, classes) probabilities.
"""

_EPSILON = float(np.finfo(np.float64).eps)


def roc_auc(labels: Floats, scores: Floats) -> Weighted:
    """The chance that a positive scores above a negative, ties counting half."""
    order = np.argsort(scores, kind="stable")
    starts = _starts(scores[order])
    positive = labels[order] > 0

    def value(weights: Floats) -> float:
        ordered = weights[order]
        up = np.add.reduceat(np.where(positive, ordered, 0.0), starts)
        down = np.add.reduceat(np.where(positive, 0.0, ordered), starts)
        below = np.cumsum(down) - down
        pairs = up.sum() * down.sum()
        return float(np.sum(up * (below + down / 2)) / pairs) if pairs else float("nan")

    return value


def average_precision(labels: Floats, scores: Floats) -> Weighted:
    """The sum over thresholds of precision, weighted by the gain in recall."""
    order = np.argsort(-scores, kind="stable")
    starts = _starts(scores[order])
    positive = labels[order] > 0

    def value(weights: Floats) -> float:
        ordered = weights[order]
        up = np.add.reduceat(np.where(positive, ordered, 0.0), starts)
        seen = np.cumsum(np.add.reduceat(ordered, starts))
        hits = np.cumsum(up)
        precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        return float(np.sum(up * precision) / hits[-1]) if hits[-1] else float("nan")

    return value


def log_loss(labels: Floats, scores: Floats) -> Weighted:
    """Of the probability that was given to what happened."""
    of_each = scores if scores.ndim > 1 else np.column_stack([1 - scores, scores])
    given = np.take_along_axis(of_each, labels.astype(np.intp)[:, None], axis=1)[:, 0]
    return _mean(-np.log(np.clip(given, _EPSILON, 1 - _EPSILON)))


def brier(labels: Floats, scores: Floats) -> Weighted:
    return _mean((labels - scores) ** 2)


def roc_auc_ovr(labels: Floats, scores: Floats) -> Weighted:
    """The mean over classes of the chance that a row of the class scores higher for it than another row.

    Of classes that have rows.
    """
    each = [roc_auc((labels == code).astype(np.float64), column) for code, column in enumerate(scores.T)]

    def value(weights: Floats) -> float:
        found = np.array([one(weights) for one in each])
        return float(found[~np.isnan(found)].mean()) if not np.isnan(found).all() else float("nan")

    return value


def accuracy(labels: Floats, scores: Floats) -> Weighted:
    return _of_confusion(labels, scores, lambda found: float(np.trace(found) / found.sum()))


def balanced_accuracy(labels: Floats, scores: Floats) -> Weighted:
    """The mean over classes of the share of their rows that is found; of classes that have rows."""

    def recall(found: Floats) -> float:
        there = found.sum(axis=1)
        return float(np.mean(np.diag(found)[there > 0] / there[there > 0]))

    return _of_confusion(labels, scores, recall)


def f1_macro(labels: Floats, scores: Floats) -> Weighted:
    """The mean over classes of the harmonic mean of precision and recall; of classes that occur or are predicted."""

    def f1(found: Floats) -> float:
        there = found.sum(axis=0) + found.sum(axis=1)
        return float(np.mean(2 * np.diag(found)[there > 0] / there[there > 0]))

    return _of_confusion(labels, scores, f1)


def confusion(labels: Floats, scores: Floats) -> Counted:
    """A function of weights -> (classes, classes), what happened by what was predicted."""
    classes = scores.shape[1]
    cells = labels.astype(np.intp) * classes + scores.argmax(axis=1)

    def counted(weights: Floats) -> Floats:
        return np.bincount(cells, weights, classes**2).reshape(classes, classes).astype(np.float64, copy=False)

    return counted


def mae(labels: Floats, scores: Floats) -> Weighted:
    return _mean(np.abs(labels - scores))


def rmse(labels: Floats, scores: Floats) -> Weighted:
    mean = _mean((labels - scores) ** 2)
    return lambda weights: float(np.sqrt(mean(weights)))


def r2(labels: Floats, scores: Floats) -> Weighted:
    """1 - residual over total sum of squares."""
    residual = (labels - scores) ** 2

    def value(weights: Floats) -> float:
        centre = np.average(labels, weights=weights)
        total = float(weights @ (labels - centre) ** 2)
        return 1 - float(weights @ residual) / total if total else float("nan")

    return value


def _of_confusion(labels: Floats, scores: Floats, metric: Callable[[Floats], float]) -> Weighted:
    counted = confusion(labels, scores)
    return lambda weights: metric(counted(weights))


def _mean(losses: Floats) -> Weighted:
    return lambda weights: float(weights @ losses / weights.sum())


def _starts(ordered: Floats) -> NDArray[np.intp]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))

"""Metrics of weighted rows. Each takes labels and scores once and returns a function of weights,
so that a bootstrap of hundreds of resamples sorts only once. scikit-learn defines the same values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], float]
Metric = Callable[[Floats, Floats], Weighted]
"""(labels, scores), each (rows,) -> a function of weights (rows,) -> the metric; NaN where it is not defined."""

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
    inside = np.clip(scores, _EPSILON, 1 - _EPSILON)
    return _mean(-np.where(labels > 0, np.log(inside), np.log1p(-inside)))


def brier(labels: Floats, scores: Floats) -> Weighted:
    return _mean((labels - scores) ** 2)


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


def _mean(losses: Floats) -> Weighted:
    return lambda weights: float(weights @ losses / weights.sum())


def _starts(ordered: Floats) -> NDArray[np.intp]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))

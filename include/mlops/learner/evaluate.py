"""Judging a model on its holdout, alone and against another on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.mlops.learner import metrics
from include.mlops.learner.metrics import Metric
from include.mlops.spec.tasks import TASKS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How much the metric of the first differs from the second's: a two-sided bootstrap interval around `value`."""

    value: float
    low: float
    high: float
    confidence: float
    rows: int


def evaluate(task: str, labels: Floats, scores: Floats) -> dict[str, float]:
    """Each metric of the task by name."""
    ones = np.ones(len(labels))
    return {name: _function(name)(labels, scores)(ones) for name in TASKS[task].metrics}


def compare(
    metric: str,
    labels: Floats,
    first: Floats,
    second: Floats,
    confidence: float,
    seed: int = 7,
    resamples: int = 500,
) -> Difference:
    """The paired bootstrap over rows of metric(first) - metric(second).

    Each bound alone holds with `confidence`: `low` is the quantile 1 - confidence, `high` the quantile confidence
    (Efron and Tibshirani 1993, the percentile interval). Resamples where the metric is not defined are left out.
    """
    of_first, of_second = (_function(metric)(labels, scores) for scores in (first, second))
    rows = len(labels)
    random = np.random.default_rng(seed)
    found = np.empty(resamples)
    for number in range(resamples):
        weights = np.bincount(random.integers(0, rows, rows), minlength=rows).astype(np.float64)
        found[number] = of_first(weights) - of_second(weights)
    low, high = np.nanquantile(found, [1 - confidence, confidence])
    ones = np.ones(rows)
    return Difference(of_first(ones) - of_second(ones), float(low), float(high), confidence, rows)


def _function(metric: str) -> Metric:
    """That of the registry's name."""
    found: Metric = getattr(metrics, metric)
    return found

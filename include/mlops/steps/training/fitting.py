"""A fit by whoever carries its rows: the task's own process, or Spark's workers."""

from __future__ import annotations

from include.mlops.learner.boosting import Checkpoints, OnRound
from include.mlops.learner.fit import Fitted, fit
from include.mlops.learner.recipe import Recipe
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_set import Parts, Source


def fitted(
    platform: Platform,
    source: Source,
    recipe: Recipe,
    workers: int,
    parts: Parts,
    on_round: OnRound,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """In process from `parts`; with more workers than one, from all rows of `source`, which Spark reads."""
    if workers == 1:
        return fit(parts.training.examples, parts.holdout.examples, recipe, on_round, parts.stops, checkpoints)
    from include.mlops.steps.training.fit_on_spark import fit_on_spark  # a training in process never loads pyspark

    return fit_on_spark(platform.spark, source, recipe, workers, on_round)

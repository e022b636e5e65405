"""A fit by whoever carries its rows: the task's own process, or Spark's workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from include.mlops.lake.checkpoints import StoredCheckpoints
from include.mlops.learner.boosting import OnRound
from include.mlops.learner.fit import Fitted, fit
from include.mlops.learner.recipe import Recipe
from include.mlops.registry.run import Run
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_set import Parts, Source


@dataclass(frozen=True)
class RunCheckpoints:
    """Checkpoints of a training, whose run has the metrics of all rounds, whoever did them."""

    stored: StoredCheckpoints
    run: Run

    @property
    def every(self) -> int:
        return self.stored.every

    def left(self) -> Iterator[bytes]:
        return self.stored.left()

    def resumed(self, rounds: Sequence[Mapping[str, float]]) -> None:
        for number, metrics in enumerate(rounds, start=1):
            self.run.log_round(number, metrics)

    def keep(self, number: int, content: bytes) -> None:
        self.run.flush()
        self.stored.keep(number, content)


def fitted(
    platform: Platform,
    source: Source,
    recipe: Recipe,
    workers: int,
    parts: Parts,
    on_round: OnRound,
    checkpoints: RunCheckpoints | None = None,
) -> Fitted:
    """In process from `parts`; with more workers than one, from all rows of `source`, which Spark reads."""
    if workers == 1:
        return fit(parts.training.examples, parts.holdout.examples, recipe, on_round, parts.stops, checkpoints)
    from include.mlops.steps.training.fit_on_spark import fit_on_spark  # a training in process never loads pyspark

    stored = checkpoints.stored if checkpoints else None
    return fit_on_spark(platform.spark, source, recipe, workers, on_round, stored)

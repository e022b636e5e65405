"""Predictions on their way: written by either carrier where nobody sees them, judged, then shown in one commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from include.mlops.learner.predict import Predictor
from include.mlops.learner.scoring import Scorer, Stamp
from include.mlops.policy.scoring import ScoreSummary
from include.mlops.registry.version import Version

EACH_TIME = ("run_id", "scored_at")
"""Columns in which a day that is scored again differs."""


@dataclass(frozen=True)
class Serving:
    """A version ready to score, the feature table that it was trained on, and the snapshot of it that is read."""

    record: Version
    file: bytes
    predictor: Predictor
    features: str
    snapshot: int | None

    def saw(self, ds: date) -> bool:
        """Whether the version was trained or judged on that day."""
        return ds in self.record.window or ds in self.record.holdout


@dataclass(frozen=True)
class Job:
    """What is to be predicted: each day by its version. `table` is made already."""

    table: str
    keys: tuple[str, ...]
    days: Mapping[date, Serving]
    min_distinct: int
    run_id: str
    at: datetime
    sample: float | None = None

    def scorer(self, ds: date) -> Scorer:
        serving = self.days[ds]
        return Scorer(serving.predictor, self.keys, self.stamp(ds))

    def stamp(self, ds: date) -> Stamp:
        serving = self.days[ds]
        return Stamp(serving.record.number, self.run_id, self.at, serving.saw(ds))


class Written(Protocol):
    """What a carrier gives back."""

    @property
    def summaries(self) -> Mapping[date, ScoreSummary]:
        """What the gate asks, of each day that was predicted."""

    @property
    def failures(self) -> Mapping[date, str]:
        """Days that could not be predicted, and why."""

    def digest(self, ds: date) -> str:
        """What was written of that day, whoever wrote it and when."""

    def publish(self, days: Collection[date]) -> int:
        """Show these days, in one commit, and forget the others. Returns the snapshot's id."""

    def discard(self) -> None:
        """Forget all of it."""

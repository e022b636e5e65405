"""A registered model version, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from include.mlops.errors import MlopsError
from include.mlops.spec.interval import Interval

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

AS_OF = "mlops.as_of"
TRAINING_KEY = "mlops.training_key"
MODEL_SHA256 = "mlops.model_sha256"
WINDOW = "mlops.window"
HOLDOUT = "mlops.holdout"
HOLDOUT_METRICS = "mlops.holdout_metrics"
DECISION = "mlops.decision"


@dataclass(frozen=True)
class Version:
    """`window` and `holdout` are the days that it was trained and judged on, `metrics` those of the holdout."""

    model: str
    number: int
    mlflow_run: str
    source: str
    tags: Mapping[str, str]

    @classmethod
    def of(cls, found: ModelVersion) -> Version:
        return cls(found.name, int(found.version), str(found.run_id), str(found.source), dict(found.tags))

    @property
    def as_of(self) -> date:
        return date.fromisoformat(self.tag(AS_OF))

    @property
    def window(self) -> Interval:
        return _interval(self.tag(WINDOW))

    @property
    def holdout(self) -> Interval:
        return _interval(self.tag(HOLDOUT))

    @property
    def sha256(self) -> str:
        """The hash of the model file."""
        return self.tag(MODEL_SHA256)

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = json.loads(self.tag(HOLDOUT_METRICS))
        return found

    def tag(self, name: str) -> str:
        """Raises MlopsError where the version bears no such tag: it was not registered by the train step."""
        if name not in self.tags:
            raise MlopsError(
                f"expected the tag {name} on {self.model} v{self.number} in MLflow, "
                f"found {', '.join(sorted(self.tags)) or 'none'}; versions come from the train step"
            )
        return self.tags[name]


def _interval(text: str) -> Interval:
    first, last = text.split("..")
    return Interval(date.fromisoformat(first), date.fromisoformat(last))

"""The rows that a version is trained and judged on, as the record names them: tables, snapshots, days, label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.errors import TrainingFailed
from include.mlops.lake.lake import Lake
from include.mlops.learner.encoding import decoded
from include.mlops.learner.fit import Examples
from include.mlops.learner.labels import labels
from include.mlops.learner.profile import drawn
from include.mlops.spec.expression import Expression
from include.mlops.spec.interval import Interval

_LABEL = "__label__"


@dataclass(frozen=True)
class Pinned:
    """A table at a snapshot that a tag keeps."""

    table: str
    tag: str
    snapshot_id: int


@dataclass(frozen=True)
class Source:
    """Where examples come from; enough to read the same rows again."""

    features: Pinned
    labels: Pinned
    keys: tuple[str, ...]
    expression: str
    task: str
    window: Interval
    holdout: Interval
    classes: tuple[str, ...] = ()
    validation: Interval | None = None
    """The newest days of the window, where they only say when to stop."""

    @property
    def fitted(self) -> Interval:
        """The days of the window that trees are made from."""
        return (
            Interval(self.window.first, self.validation.first - timedelta(days=1)) if self.validation else self.window
        )

    def to_dict(self) -> dict[str, Any]:
        days = {name: getattr(self, name) for name in ("window", "holdout", "validation")}
        return {**asdict(self), **{name: part and [str(part.first), str(part.last)] for name, part in days.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        """Records written before there were validation days name none."""
        days = {
            name: Interval(*map(date.fromisoformat, values[name]))
            for name in ("window", "holdout", "validation")
            if values.get(name)
        }
        pinned = {name: Pinned(**values[name]) for name in ("features", "labels")}
        texts = {name: tuple(values.get(name, ())) for name in ("keys", "classes")}
        return cls(**{**values, **pinned, **texts, **days})


@dataclass(frozen=True)
class Selection:
    """Examples of some days. `unlabelled` rows had no label, or a null one, and were left out."""

    examples: Examples
    unlabelled: int


@dataclass(frozen=True)
class Parts:
    """The rows that a version is fitted on, those that say when to stop, and those that judge it."""

    training: Selection
    holdout: Selection
    validation: Selection | None = None

    @classmethod
    def read(cls, lake: Lake, source: Source, columns: Sequence[str], share: float = 1.0) -> Parts:
        """With a `share` of all rows below 1 a sample, by hash, of so many rows from each part that has as many.

        Raises TrainingFailed on a repeated key.
        """
        days = [source.fitted, source.holdout, *([source.validation] if source.validation else [])]
        every = len(source.window) + len(source.holdout)
        return cls(*(select(lake, source, columns, part, min(1.0, share * every / len(part))) for part in days))

    @property
    def stops(self) -> Examples | None:
        """The validation rows."""
        return self.validation.examples if self.validation else None


def select(lake: Lake, source: Source, columns: Sequence[str], days: Interval, share: float = 1.0) -> Selection:
    """Feature rows of `days` with their labels, ordered by day and keys. Raises TrainingFailed on a repeated key."""
    identity = ["ds", *source.keys]
    features = _read(lake, source.features, identity, columns, days, share)
    label = _labels(lake, source, identity, days, share)
    _require_single(source, features, label, identity)
    known = label.filter(pc.is_valid(label.column(_LABEL)))
    joined = features.join(known, identity, join_type="inner").sort_by([(name, "ascending") for name in identity])
    values = joined.column(_LABEL).to_numpy().astype(np.float64, copy=False)
    return Selection(Examples(joined.drop_columns([_LABEL]), values), features.num_rows - joined.num_rows)


def _read(
    lake: Lake, pinned: Pinned, identity: list[str], columns: Sequence[str], days: Interval, share: float
) -> pa.Table:
    wanted = list(dict.fromkeys([*identity, *columns]))
    if share >= 1:
        return lake.read(pinned.table, days, wanted, pinned.snapshot_id)
    batches = lake.batches(pinned.table, days, wanted, pinned.snapshot_id)
    return decoded(pa.Table.from_batches(batch.filter(drawn(batch, identity, share)) for batch in batches))


def _labels(lake: Lake, source: Source, identity: list[str], days: Interval, share: float) -> pa.Table:
    expression = Expression.parse(source.expression)
    table = _read(lake, source.labels, identity, expression.columns, days, share)
    return table.select(identity).append_column(_LABEL, labels(expression, table, source.task, source.classes))


def _require_single(source: Source, features: pa.Table, label: pa.Table, identity: list[str]) -> None:
    for pinned, table in ((source.features, features), (source.labels, label)):
        counts = table.select(identity).group_by(identity).aggregate([([], "count_all")])
        twice = counts.filter(pc.greater(counts.column("count_all"), 1))
        if twice.num_rows:
            example = ", ".join(
                f"{name}={value}" for name, value in twice.slice(0, 1).to_pylist()[0].items() if name in identity
            )
            raise TrainingFailed(
                f"expected one row for each {', '.join(identity)} in {pinned.table}, found {twice.num_rows} repeated, "
                f"such as {example}; correct `keys` in the feature group, or its transform"
            )

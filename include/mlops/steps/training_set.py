"""The rows that a version is trained and judged on, as the record names them: tables, snapshots, days, label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.errors import TrainingFailed
from include.mlops.lake.lake import Lake
from include.mlops.learner.fit import Examples
from include.mlops.learner.labels import labels
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

    def to_dict(self) -> dict[str, Any]:
        days = {
            name: [str(days.first), str(days.last)]
            for name, days in (("window", self.window), ("holdout", self.holdout))
        }
        return {**asdict(self), **days}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        window, holdout = (Interval(*map(date.fromisoformat, values[name])) for name in ("window", "holdout"))
        features, labelled = Pinned(**values["features"]), Pinned(**values["labels"])
        keys, classes = tuple(values["keys"]), tuple(values.get("classes", ()))
        return cls(features, labelled, keys, values["expression"], values["task"], window, holdout, classes)


@dataclass(frozen=True)
class Selection:
    """Examples of some days. `unlabelled` rows had no label, or a null one, and were left out."""

    examples: Examples
    unlabelled: int


def select(lake: Lake, source: Source, columns: Sequence[str], days: Interval) -> Selection:
    """Feature rows of `days` with their labels, ordered by day and keys. Raises TrainingFailed on a repeated key."""
    identity = ["ds", *source.keys]
    features = lake.read(
        source.features.table,
        days,
        [*identity, *(c for c in columns if c not in identity)],
        source.features.snapshot_id,
    )
    label = _labels(lake, source, identity, days)
    _require_single(source, features, label, identity)
    known = label.filter(pc.is_valid(label.column(_LABEL)))
    joined = features.join(known, identity, join_type="inner").sort_by([(name, "ascending") for name in identity])
    values = joined.column(_LABEL).to_numpy().astype(np.float64, copy=False)
    return Selection(Examples(joined.drop_columns([_LABEL]), values), features.num_rows - joined.num_rows)


def _labels(lake: Lake, source: Source, identity: list[str], days: Interval) -> pa.Table:
    expression = Expression.parse(source.expression)
    columns = [*identity, *(c for c in expression.columns if c not in identity)]
    table = lake.read(source.labels.table, days, columns, source.labels.snapshot_id)
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

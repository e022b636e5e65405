"""A trial: what a specification would make of some real rows. Nothing is written, nobody is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.learner.encoding import decoded


@dataclass(frozen=True)
class ColumnFacts:
    """`nulls` is a share, `distinct` the number of different values that are not null."""

    name: str
    kind: str
    nulls: float
    distinct: int


@dataclass(frozen=True)
class Trial:
    """What is told of a group or a model: facts, a line for each column, what to look at, and what is wrong."""

    subject: str
    facts: dict[str, str]
    columns: tuple[ColumnFacts, ...] = ()
    notes: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def facts_of(rows: pa.Table, types: Mapping[str, str]) -> tuple[ColumnFacts, ...]:
    """Of each column, in order; `types` are those that a specification names."""
    plain = decoded(rows)
    return tuple(_facts(name, types.get(name, ""), plain.column(name)) for name in plain.column_names)


def notes_on(columns: tuple[ColumnFacts, ...], rows: int) -> list[str]:
    """Columns that say nothing, or too much."""
    told = [f"{one.name} is null in all rows" for one in columns if rows and one.nulls == 1]
    told += [f"{one.name} has the same value in all rows" for one in columns if rows > 1 and one.distinct == 1]
    return told


def _facts(name: str, kind: str, values: pa.ChunkedArray) -> ColumnFacts:
    share = values.null_count / len(values) if len(values) else 0.0
    return ColumnFacts(name, kind, share, pc.count_distinct(values, mode="only_valid").as_py())

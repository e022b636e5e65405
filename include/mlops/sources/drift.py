"""Schema drift: the columns that came, held against those declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pyarrow import types as arrow

from include.mlops.sources.source import Look
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.nearest import nearest

Kind = Literal["added", "lost", "retyped"]
_FITTING = {  # what becomes the declared type without loss; a number that is too large is judged row by row
    "string": lambda kind: arrow.is_string(kind) or arrow.is_large_string(kind) or arrow.is_dictionary(kind),
    "int": arrow.is_integer,
    "long": arrow.is_integer,
    "double": lambda kind: arrow.is_integer(kind) or arrow.is_floating(kind) or arrow.is_decimal(kind),
    "boolean": arrow.is_boolean,
    "date": lambda kind: arrow.is_date(kind) or arrow.is_timestamp(kind),
    "timestamp": lambda kind: arrow.is_date(kind) or arrow.is_timestamp(kind),
}


@dataclass(frozen=True)
class Change:
    """One column that is new, lost or of another type, and what the specification says of that (`then`)."""

    kind: Kind
    column: str
    expected: str
    found: str
    then: str

    @property
    def fails(self) -> bool:
        return self.then == "fail"

    @property
    def empties(self) -> bool:
        return self.then == "empty"

    def __str__(self) -> str:
        return f"expected {self.expected}, found {self.found}"


def fits(declared: str, kind: pa.DataType | None) -> bool:
    """Whether values that came in that type are the declared one; what came as text is judged value by value."""
    return kind is None or bool(_FITTING[declared](kind))


def changes(group: FeatureGroup, look: Look) -> list[Change]:
    """What a look at a day tells. Changes that the specification ignores are left out."""
    found = [*_lost(group, look), *_retyped(group, look), *_added(group, look)]
    return [change for change in found if change.then != "ignore"]


def retyped(group: FeatureGroup, column: str, found: str) -> Change:
    """`column` does not hold the declared type any more."""
    expected = f"{column} of type {group.source.columns[column]}"
    return Change("retyped", column, expected, found, _unless_needed(group, column, group.source.drift.retyped))


def _lost(group: FeatureGroup, look: Look) -> Iterator[Change]:
    added = [name for name in look.columns if name not in group.source.columns]
    for name, kind in group.source.columns.items():
        if name not in look.columns:
            alike = nearest(name, added)
            hint = f" (renamed to '{alike}'?)" if alike else ""
            then = _unless_needed(group, name, group.source.drift.lost)
            yield Change("lost", name, f"the column {name} of type {kind}", f"no such column{hint}", then)


def _retyped(group: FeatureGroup, look: Look) -> Iterator[Change]:
    for name, declared in group.source.columns.items():
        kind = look.columns.get(name)
        if not fits(declared, kind):
            yield retyped(group, name, f"the type {kind}")


def _added(group: FeatureGroup, look: Look) -> Iterator[Change]:
    for name, kind in look.columns.items():
        if name not in group.source.columns:
            told = f"the column '{name[:60]}'" + (f" of type {kind}" if kind else "")
            yield Change("added", name[:60], "the declared columns alone", told, group.source.drift.added)


def _unless_needed(group: FeatureGroup, column: str, then: str) -> str:
    """A row without its key or its times is none, so leaving it empty is no answer for these."""
    return "fail" if then == "empty" and column in needed(group) else then


def needed(group: FeatureGroup) -> tuple[str, ...]:
    """The columns without which a row cannot be used."""
    return tuple(dict.fromkeys([*group.keys, group.event_time, group.available_at]))


def advice(found: Iterable[Change]) -> str:
    """What to do about changes."""
    told = {
        "lost": "land the column again, or say `lost: empty`",
        "retyped": "write the declared type again, or say `retyped: empty` or `retyped: quarantine`",
        "added": "declare the column, or say `added: ignore`",
    }
    kinds = {change.kind for change in found}
    return "; ".join(told[kind] for kind in told if kind in kinds) + " under source.drift"

"""What rows without a specification seem to be: types, keys, times. Each guess is for a person to check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as arrow

from include.mlops.spec.base import PATTERNS
from include.mlops.spec.feature_group import SYSTEM_COLUMNS

_COLUMN = re.compile(next(pattern for pattern, told in PATTERNS.items() if told.startswith("a column name")))
_KNOWN = re.compile(r"avail|known|arriv|land|load|ingest|insert|publish|receiv|updat|creat|modif")
_HAPPENED = re.compile(r"event|occur|observ|happen|time|start|_at$|^at$|^ts$|date|day")
_IDENTIFIES = re.compile(r"(^|_)(id|key|code|no|nr|number|uuid|guid)$|^id_")
_MOST_KEYS, _MOST_CANDIDATES, _LATE = 4, 10, 30


@dataclass(frozen=True)
class Guess:
    """`columns` are those that can be declared, with their types, `left_out` says why the others cannot.

    `unique` rows of `rows` have keys of their own. `event_time` and `available_at` are None where no column could be
    one. `delay` is days from a day's midnight until its rows are known.
    """

    columns: dict[str, str]
    left_out: dict[str, str]
    nulls: dict[str, int]
    rows: int
    keys: tuple[str, ...]
    unique: int
    event_time: str | None
    available_at: str | None
    day: str | None
    first: date | None
    delay: int

    @property
    def published(self) -> dict[str, str]:
        """All but the times, keys included."""
        times = {self.event_time, self.available_at, self.day} - set(self.keys)
        return {
            name: kind
            for name, kind in self.columns.items()
            if name not in times and name.casefold() not in SYSTEM_COLUMNS
        }

    @property
    def filled(self) -> list[str]:
        """Published columns beside the keys without a null in any of the rows."""
        return [name for name in self.published if name not in self.keys and not self.nulls[name]]


def identifies(name: str) -> bool:
    """Whether a column of that name tells rows apart and says nothing else of them."""
    return bool(_IDENTIFIES.search(name.lower()))


def guess(rows: pa.Table, ds: date | None = None) -> Guess:
    """`ds` is the day of the rows, where it is known; else the first day that the event time shows."""
    columns, left_out = _types(rows.schema)
    times = [name for name, kind in columns.items() if kind in ("timestamp", "date")]
    available = next((name for name in times if _KNOWN.search(name.lower())), None)
    happened = [name for name in times if name != available]
    event = max(happened, key=lambda name: _like_event(rows, name, ds), default=None) or available
    days = _days(rows, event) if event else []
    first = ds or min(days, default=None)
    keys, unique = _keys(rows, columns, event)
    return Guess(
        columns,
        left_out,
        {name: rows.column(name).null_count for name in columns},
        rows.num_rows,
        keys,
        unique,
        event,
        available or event,
        next((name for name in times if name.casefold() in ("ds", "day", "date")), event),
        first,
        _delay(rows, event, available or event) if event else 0,
    )


def _types(schema: pa.Schema) -> tuple[dict[str, str], dict[str, str]]:
    columns: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for field in schema:
        kind = _type(field.type)
        if not _COLUMN.match(field.name):
            left_out[field.name] = "its name is not of letters, digits and _"
        elif field.name.casefold() in map(str.casefold, columns):
            left_out[field.name] = "it differs from another column in nothing but case"
        elif kind is None:
            left_out[field.name] = f"its type is {field.type}"
        else:
            columns[field.name] = kind
    return columns, left_out


def _type(kind: pa.DataType) -> str | None:
    kind = kind.value_type if arrow.is_dictionary(kind) else kind
    if arrow.is_string(kind) or arrow.is_large_string(kind) or arrow.is_null(kind) or arrow.is_time(kind):
        return "string"
    if arrow.is_integer(kind):
        return "int" if kind.bit_width < 32 or kind == pa.int32() else "long"
    if arrow.is_floating(kind) or arrow.is_decimal(kind):
        return "double"
    if arrow.is_boolean(kind):
        return "boolean"
    if arrow.is_date(kind) or arrow.is_timestamp(kind):
        return "date" if arrow.is_date(kind) else "timestamp"
    return None


def _like_event(rows: pa.Table, name: str, ds: date | None) -> tuple[float, bool, int]:
    days = _days(rows, name)
    within = sum(day == ds for day in days) if ds else len(days)
    return within / rows.num_rows, bool(_HAPPENED.search(name.lower())), -rows.column_names.index(name)


def _days(rows: pa.Table, name: str) -> list[date]:
    return [value.date() for value in _moments(rows, name)]


def _moments(rows: pa.Table, name: str) -> list[datetime]:
    """Without their time zone, as a file tells them."""
    values = pc.cast(rows.column(name).drop_null(), pa.timestamp("us"), safe=False).to_pylist()
    return [value.replace(tzinfo=None) for value in values]


def _delay(rows: pa.Table, event: str, available: str) -> int:
    known = rows.select([event, available]).drop_null() if event != available else rows.select([event]).drop_null()
    pairs = zip(_days(known, event), _moments(known, available), strict=True)
    late = max((moment - datetime.combine(day, time()) for day, moment in pairs), default=timedelta())
    return min(max(0, -(-late // timedelta(days=1))), _LATE)


def _keys(rows: pa.Table, columns: dict[str, str], event: str | None) -> tuple[tuple[str, ...], int]:
    """The fewest columns of which each row has values of its own; where there are none, those that come nearest.

    The event time is one of them only where nothing else will do.
    """
    usable = [name for name, kind in columns.items() if kind in ("string", "int", "long", "date", "timestamp")]
    whole = [name for name in usable if not rows.column(name).null_count]
    times = [name for name in whole if columns[name] in ("date", "timestamp")]
    plain = sorted((n for n in whole if n not in times), key=lambda name: not identifies(name))
    candidates = plain[:_MOST_CANDIDATES]
    best: tuple[tuple[str, ...], int] = ((), 0)
    for chosen in [*_subsets(candidates), *_subsets(candidates, *([event] if event in times else []))]:
        unique = rows.select(list(chosen)).group_by(list(chosen)).aggregate([]).num_rows
        if unique > best[1]:
            best = tuple(sorted(chosen, key=rows.column_names.index)), unique
        if unique == rows.num_rows:
            break
    return best if best[0] else ((next(iter(columns), ""),), 0)


def _subsets(names: Sequence[str], *always: str) -> Iterator[tuple[str, ...]]:
    for size in range(0 if always else 1, _MOST_KEYS + 1 - len(always)):
        yield from ((*chosen, *always) for chosen in combinations(names, size))

"""Which rows are those of one entity: by the columns of its key, or by a record that was set aside as it came."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo

from include.mlops.errors import MlopsError
from include.mlops.lake.lake import Lake


@dataclass(frozen=True)
class Match:
    """Which rows: `hits` gives a mask over rows of a table, `could_be` passes over files that hold none."""

    could_be: BooleanExpression
    hits: Callable[[pa.Table], pa.Array]


def by_columns(lake: Lake, name: str, keys: Mapping[str, str]) -> Match | None:
    """Rows whose columns hold those values; None where the table lacks one of them.

    Raises MlopsError where a value is not of its column's type.
    """
    schema = lake.table(name).schema().as_arrow()
    if not set(keys) <= set(schema.names):
        return None
    try:
        wanted = {column: pa.scalar(text).cast(schema.field(column).type) for column, text in keys.items()}
    except pa.ArrowInvalid:
        kinds = ", ".join(f"{column}: {schema.field(column).type}" for column in keys)
        raise MlopsError(f"expected key values of the types of {name} ({kinds}), found one that is not") from None

    def hits(rows: pa.Table) -> pa.Array:
        found = pa.repeat(pa.scalar(True), rows.num_rows)
        for column, value in wanted.items():
            same = pc.fill_null(pc.equal(rows[column], value.cast(rows[column].type)), False)
            found = pc.and_(found, same.combine_chunks())
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    terms = [EqualTo(term=column, value=text) for column, text in keys.items()]
    return Match(And(*terms) if len(terms) > 1 else terms[0], hits)


def by_records(keys: Mapping[str, str]) -> Match:
    """Rows of a quarantine whose record, as it came, is of that entity; a broken one where it holds all values."""
    words = [re.compile(rf"(?<!\w){re.escape(text)}(?!\w)") for text in keys.values()]

    def is_hit(record: str | None) -> bool:
        try:
            told = json.loads(record or "")
        except ValueError:
            told = None
        if isinstance(told, dict):
            return all(_same(told.get(column), text) for column, text in keys.items())
        return all(word.search(record or "") for word in words)

    return Match(AlwaysTrue(), lambda rows: pa.array([is_hit(one) for one in rows["record"].to_pylist()], pa.bool_()))


def _same(value: object, text: str) -> bool:
    """The same text, or another spelling of the same number, as sources write integers: 5.0, 05."""
    told = str(value).strip()
    if told == text.strip():
        return True
    try:
        return Decimal(told) == Decimal(text)
    except InvalidOperation:
        return False

"""From columns to the matrix that a model sees, learned once from the training rows.

Texts become codes of a sorted vocabulary; what the vocabulary does not hold, and null, is missing (NaN).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.mlops.errors import FeaturesUnusable

MAX_CATEGORIES = 10_000
Rows: TypeAlias = "pa.Table | pa.RecordBatch"
RowsT = TypeVar("RowsT", pa.Table, pa.RecordBatch)
Matrix: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Encoder:
    """Columns in the model's order; `vocabularies` holds the categories of those that are texts."""

    columns: tuple[str, ...]
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def learn(cls, rows: pa.Table, columns: Sequence[str]) -> Encoder:
        """Read the types and categories of `columns`.

        Raises FeaturesUnusable where a column is missing, neither a number nor a text, or has too many categories.
        """
        _require(rows, columns)
        texts = [name for name in columns if _is_text(_value_type(rows.schema.field(name).type))]
        return cls(tuple(columns), {name: _vocabulary(name, rows.column(name)) for name in texts})

    @property
    def feature_types(self) -> list[str]:
        """XGBoost's types: `c` for categories, `q` for numbers."""
        return ["c" if name in self.vocabularies else "q" for name in self.columns]

    def encode(self, rows: Rows) -> Matrix:
        """(rows, columns) float32. Raises FeaturesUnusable for a missing column, a wrong type, an infinite number."""
        _require(rows, self.columns)
        matrix: Matrix = np.empty((rows.num_rows, len(self.columns)), dtype=np.float32)
        for position, name in enumerate(self.columns):
            values = rows.column(name)
            codes = self.vocabularies.get(name)
            matrix[:, position] = _numbers(name, values) if codes is None else _codes(name, values, codes)
        return matrix

    def to_json(self) -> str:
        return json.dumps({"columns": self.columns, "vocabularies": self.vocabularies}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        values = json.loads(text)
        return cls(tuple(values["columns"]), {name: tuple(codes) for name, codes in values["vocabularies"].items()})


def decoded(rows: RowsT) -> RowsT:
    """With plain columns in place of dictionary-encoded ones."""
    return rows.cast(pa.schema([field.with_type(_value_type(field.type)) for field in rows.schema]))


def _require(rows: Rows, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in rows.schema.names]
    if missing:
        raise FeaturesUnusable(
            f"expected the columns {', '.join(columns)}, missing {', '.join(missing)}; "
            f"found {', '.join(rows.schema.names)}. "
            "Read the model's feature group at the version that it was trained on"
        )


def _vocabulary(name: str, values: pa.ChunkedArray) -> tuple[str, ...]:
    found: list[str] = sorted(pc.unique(_plain(values)).drop_null().to_pylist())
    if len(found) > MAX_CATEGORIES:
        raise FeaturesUnusable(
            f"column '{name}': expected at most {MAX_CATEGORIES} different texts, found {len(found)}; "
            "leave it out of features.columns, or publish a coarser column or a number instead"
        )
    return tuple(found)


def _codes(name: str, values: Any, vocabulary: tuple[str, ...]) -> Matrix:
    if not _is_text(_value_type(values.type)) and not pa.types.is_null(values.type):
        raise FeaturesUnusable(f"column '{name}': expected texts, as when the model was trained, found {values.type}")
    known = pa.array(vocabulary, pa.string())
    if isinstance(values, pa.DictionaryArray):  # a few texts are looked up, not all rows
        return _floats(pc.take(pc.index_in(pc.cast(values.dictionary, pa.string()), value_set=known), values.indices))
    return _floats(pc.index_in(pc.cast(values, pa.string()), value_set=known))


def _numbers(name: str, values: Any) -> Matrix:
    kind = _value_type(values.type)
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise FeaturesUnusable(
            f"column '{name}': expected a number, a boolean or a text, found {values.type}; publish it as one of these"
        )
    numbers = _floats(_plain(values))
    infinite = np.isinf(numbers)
    if infinite.any():
        raise FeaturesUnusable(
            f"column '{name}': expected finite numbers that fit 32 bits, found {int(infinite.sum())} that do not; "
            "correct the transform (a division by zero?), or publish null where there is no value"
        )
    return numbers


def _floats(values: Any) -> Matrix:
    """Nulls become NaN."""
    floats = pc.cast(values, pa.float32(), safe=False).fill_null(float("nan"))
    array: Matrix = floats.to_numpy() if isinstance(floats, pa.ChunkedArray) else floats.to_numpy(zero_copy_only=False)
    return array


def _plain(values: Any) -> Any:
    """Without dictionary encoding, texts of the one type that Arrow's kernels compare."""
    kind = _value_type(values.type)
    wanted = pa.string() if _is_text(kind) else kind
    return values if values.type == wanted else pc.cast(values, wanted)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

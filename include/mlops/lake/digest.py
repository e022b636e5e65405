"""What a partition holds, as a short text: equal for equal rows, whatever their order, batches, files or writer.

Each row is hashed over its columns (by name) and the hashes are added up: so rows need no sorting, and parts of a
partition can be hashed as they pass by. The sum of good 64-bit hashes tells changed data, not an attacker's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types as arrow

Hashes = NDArray[np.uint64]
_NOTHING = np.uint64(0x9E3779B97F4A7C15)  # of a null


class Digest:
    """Hashes the rows that pass by, all columns but `without`. A repeated row is told from a single one."""

    def __init__(self, without: Collection[str] = ()) -> None:
        self._without, self._rows, self._total = without, 0, 0

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._rows += batch.num_rows
            self._total += int(_rows(batch, self._without).sum(dtype=np.uint64))
            yield batch

    def text(self) -> str:
        """16 hex digits over what has passed."""
        return hashlib.sha256(f"{self._rows} {self._total % 2**64}".encode()).hexdigest()[:16]


def digest(batches: Iterable[pa.RecordBatch], without: Collection[str] = ()) -> str:
    """That of all of `batches`."""
    found = Digest(without)
    for _ in found.watch(batches):
        pass
    return found.text()


def _rows(batch: pa.RecordBatch, without: Collection[str]) -> Hashes:
    found = np.zeros(batch.num_rows, np.uint64)
    for name in sorted(set(batch.schema.names) - set(without)):
        found = _mixed(found ^ (_column(batch.column(name)) + _of(name.encode())))
    return found


def _column(values: pa.Array) -> Hashes:
    """The same for a value whatever Arrow type carries it: texts in one type, numbers as 64 bits."""
    known = pc.is_valid(values).to_numpy(zero_copy_only=False)
    return np.where(known, _mixed(_bits(values)), _NOTHING)


def _bits(values: pa.Array) -> Hashes:
    kind = values.type
    if arrow.is_string(kind) or arrow.is_large_string(kind):
        return _bits(values.dictionary_encode())
    if arrow.is_dictionary(kind):
        if len(values.dictionary) > len(values):  # Parquet gives each batch the dictionary of its whole row group
            values = values.dictionary_decode().dictionary_encode()
        # Each text is hashed once.
        texts = np.array([_NOTHING, *(_of((text or "").encode()) for text in values.dictionary.to_pylist())], np.uint64)
        found: Hashes = texts[pc.fill_null(values.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False) + 1]
        return found
    if arrow.is_floating(kind):
        numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 is 0.0
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    if arrow.is_timestamp(kind):
        values = values.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    elif arrow.is_date32(kind):
        values = values.cast(pa.int32())
    whole: Hashes = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False).view(np.uint64)
    return whole


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _of(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))

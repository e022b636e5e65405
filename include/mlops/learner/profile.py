"""The monitoring reference: a bounded sample of the training rows, with what the model said of them.

A row is drawn by the hash of its keys and date (the smallest hashes stay), so that the same rows give the same
sample, and the sample of two windows together is the sample of their samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.mlops.learner.encoding import Rows
from include.mlops.learner.fit import Examples
from include.mlops.learner.predict import Predictor

LABEL = "label"
_CHUNK = 100_000
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def draw(rows: pa.Table, keys: Sequence[str], size: int) -> pa.Table:
    """At most `size` rows, in the order of their hashes. `keys` identify a row (the entity's keys and ds)."""
    if rows.num_rows == 0:
        return rows
    found = np.concatenate([hashes(rows.slice(start, _CHUNK), keys) for start in range(0, rows.num_rows, _CHUNK)])
    smallest = np.argpartition(found, size - 1)[:size] if size < len(found) else np.arange(len(found))
    return rows.take(pa.array(smallest[np.argsort(found[smallest], kind="stable")]))


def drawn(batch: pa.RecordBatch, keys: Sequence[str], share: float) -> pa.Array:
    """A mask that keeps about `share` of the rows, by the hash of `keys`: the same ones in every run."""
    if share >= 1 or batch.num_rows == 0:
        return pa.repeat(pa.scalar(True), batch.num_rows)
    return pa.array(hashes(batch, keys) < np.uint64(share * 2.0**64))


def profile(examples: Examples, predictor: Predictor, keys: Sequence[str], size: int) -> pa.Table:
    """The sampled rows: keys, features, the label, and the model's predictions."""
    labelled = examples.rows.append_column(LABEL, pa.array(examples.labels))
    sample = draw(labelled, keys, size).select(list(dict.fromkeys([*keys, *predictor.columns, LABEL])))
    return with_predictions(sample, predictor)


def with_predictions(rows: pa.Table, predictor: Predictor) -> pa.Table:
    """`rows` with the columns of predictions whose drift is watched."""
    outputs = predictor.outputs(rows)
    for name in predictor.watched:
        rows = rows.append_column(name, outputs[name])
    return rows


def to_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_parquet(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content))


def hashes(rows: Rows, keys: Sequence[str]) -> NDArray[np.uint64]:
    """FNV-1a (Fowler, Noll, Vo) over the keys' texts, then a final mix, whole columns at a time."""
    texts = [pc.fill_null(pc.cast(rows.column(key), pa.string()), "") for key in keys]
    joined = pc.binary_join_element_wise(*texts, "\x1f")
    joined = joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
    fixed = np.array([text.encode() for text in joined.to_pylist()])
    letters = fixed.view(np.uint8).reshape(len(fixed), -1)
    found = np.full(len(fixed), _OFFSET)
    for column in letters.T:  # the padding of shorter texts is zero and is skipped: a hash does not depend on its chunk
        found = np.where(column > 0, (found ^ column.astype(np.uint64)) * _PRIME, found)
    found ^= found >> np.uint64(33)
    found *= np.uint64(0xFF51AFD7ED558CCD)
    found ^= found >> np.uint64(33)
    return found

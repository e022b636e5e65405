"""A digest tells what a partition holds, and nothing of how it was written."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from include.mlops.lake.digest import digest

ROWS: dict[str, Any] = {
    "carrier": ["AA", None, "", "ÜA"],
    "flight": pa.array([1, 2, 0, None], pa.int32()),
    "delay": [0.0, float("nan"), None, 1e300],
    "holiday": [True, None, False, True],
    "at": pa.array([0, 1, 2, None], pa.timestamp("us", tz="UTC")),
    "ds": [date(2013, 4, 5)] * 4,
    "run_id": ["a"] * 4,
}


def _of(rows: pa.Table, size: int = 100) -> str:
    return digest(rows.to_batches(size), without=["run_id"])


def _with(column: str, values: Any) -> pa.Table:
    return pa.table({**ROWS, column: values})


SAME = _of(pa.table(ROWS))


@pytest.mark.parametrize(
    "alike",
    [
        pa.table(ROWS).take([3, 1, 0, 2]),
        pa.table(ROWS).select(list(ROWS)[::-1]),
        _with("run_id", ["b"] * 4),
        _with("carrier", pa.array(ROWS["carrier"], pa.large_string())),
        _with("carrier", pa.array(ROWS["carrier"]).dictionary_encode()),
        _with("flight", pa.array([1, 2, 0, None], pa.int64())),
        _with("delay", [-0.0, float("nan"), None, 1e300]),
        _with("at", pa.array([0, 1000, 2000, None], pa.timestamp("ns", tz="UTC"))),
        pa.concat_tables([pa.table(ROWS).slice(2), pa.table(ROWS).slice(0, 2)]),
    ],
)
def test_equal_rows_have_equal_digests_whatever_their_order_columns_types_and_batches(alike: pa.Table) -> None:
    assert _of(alike) == _of(alike, 1) == SAME


@pytest.mark.parametrize(
    "other",
    [
        _with("carrier", ["AA", "", "", "ÜA"]),
        _with("carrier", ["AA", None, None, "ÜA"]),
        _with("flight", pa.array([1, 2, None, 0], pa.int32())),
        _with("delay", [0.0, None, float("nan"), 1e300]),
        _with("delay", [0.0, float("nan"), None, 1.0000000000000002e300]),
        _with("holiday", [True, None, False, False]),
        _with("at", pa.array([0, 1, 3, None], pa.timestamp("us", tz="UTC"))),
        _with("ds", [date(2013, 4, 6)] * 4),
        pa.table(ROWS).rename_columns(["carrier", "number", *list(ROWS)[2:]]),
        pa.table(ROWS).slice(1),
        pa.concat_tables([pa.table(ROWS), pa.table(ROWS).slice(0, 1)]),
        pa.concat_tables([pa.table(ROWS), pa.table(ROWS)]),
        pa.table(ROWS).slice(0, 0),
        _with("flight", pa.array([2, 1, 0, None], pa.int32())),
    ],
)
def test_any_other_value_row_or_column_has_another_digest(other: pa.Table) -> None:
    assert _of(other) != SAME


def test_values_that_swap_columns_or_rows_are_told_apart() -> None:
    rows = pa.table({"a": [1, 2], "b": [2, 1]})
    assert _of(rows) != _of(pa.table({"a": [2, 1], "b": [2, 1]}))
    assert _of(pa.table({"a": [1, 1], "b": [2, 2]})) != _of(pa.table({"a": [1, 2], "b": [1, 2]}))


def test_the_digest_is_kept_in_the_ledger_and_may_never_change() -> None:
    assert SAME == "693ed45c70eb08c9"
    assert digest([]) == _of(pa.table(ROWS).slice(0, 0))

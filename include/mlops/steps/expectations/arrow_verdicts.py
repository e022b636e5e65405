"""Verdicts on Arrow columns, in the meaning of Great Expectations' pandas engine.

A NaN is missing; a missing value is considered by expectations about nulls alone; `mostly` is a share of what is
considered.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Arguments = Mapping[str, Any]


class Verdict(NamedTuple):
    """Whether an expectation is met, and what was found, in words."""

    success: bool
    observed: str


Judging = Callable[[pa.Table, Arguments], Verdict]
"""Of a table that holds the columns that the arguments name."""


# ---------------------------------------------------------------- of each row


def _share(met: pa.ChunkedArray, rows: pa.Table, arguments: Arguments) -> Verdict:
    """`met` is null where a row is not considered; `rows` are the columns to show of those that do not meet it."""
    considered = len(met) - met.null_count
    unexpected = considered - (pc.sum(met).as_py() or 0)
    success = considered == 0 or (considered - unexpected) / considered >= arguments.get("mostly", 1)
    found = f"{unexpected} of {len(met)} rows"
    if unexpected:
        shown = rows.take(pc.indices_nonzero(pc.invert(met))[:3]).to_pylist()
        found += f" otherwise, such as {', '.join(str(_shown(row, arguments)) for row in shown)}"
    return Verdict(success, found)


def _shown(row: dict[str, Any], arguments: Arguments) -> Any:
    if "column" in arguments:
        return row[arguments["column"]]
    return row if "column_list" in arguments else tuple(row.values())


def of_values(test: Callable[[pa.ChunkedArray, Arguments], pa.ChunkedArray]) -> Judging:
    """A judge from a test of one column, which gives null for null."""

    def judge(table: pa.Table, arguments: Arguments) -> Verdict:
        rows = table.select([arguments["column"]])
        return _share(test(_no_nan(rows.column(0)), arguments), rows, arguments)

    return judge


def _no_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with nulls for NaN, which pandas does not tell apart."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return _no_nan(column).cast(pa.float64(), safe=False)


def between(values: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    tests = []
    if low is not None:
        tests.append((pc.greater if arguments.get("strict_min") else pc.greater_equal)(values, float(low)))
    if high is not None:
        tests.append((pc.less if arguments.get("strict_max") else pc.less_equal)(values, float(high)))
    return reduce(pc.and_, tests)


def in_set(values: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    wanted = arguments["value_set"]
    if not pa.types.is_string(values.type):
        values = pc.add(floats(values), 0.0)  # makes 0.0 of -0.0, which Arrow tells apart
        wanted = [one + 0.0 for one in wanted]
    return _among(values, pa.array(wanted, values.type))


def _among(values: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray:
    return pc.if_else(pc.is_valid(values), pc.is_in(values, value_set=wanted), pa.scalar(None, pa.bool_()))


def matches(values: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    """Each distinct text is looked at once, by Python's own regular expressions, as in Great Expectations."""
    search, texts = re.compile(arguments["regex"]).search, pc.unique(values)
    found = texts.filter(pa.array([text is not None and not search(text) for text in texts.to_pylist()], pa.bool_()))
    return pc.invert(_among(values, found))


def of_pairs(compare: Callable[..., pa.ChunkedArray]) -> Judging:
    def judge(table: pa.Table, arguments: Arguments) -> Verdict:
        rows = table.select([arguments["column_A"], arguments["column_B"]])
        fractions = any(pa.types.is_floating(kind) for kind in rows.schema.types)
        a, b = (floats(column) if fractions else column for column in rows.columns)
        met = pc.fill_null(compare(a, b, arguments), fill_value=False)  # nothing is greater than, or equal to, a null
        missing = {"both_values_are_missing": pc.and_, "either_value_is_missing": pc.or_}
        ignores = missing.get(arguments.get("ignore_row_if", "both_values_are_missing"))
        return _share(_left_out(met, ignores(pc.is_null(a), pc.is_null(b))) if ignores else met, rows, arguments)

    return judge


def greater(a: pa.ChunkedArray, b: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    return (pc.greater_equal if arguments.get("or_equal") else pc.greater)(a, b)


def unique(values: pa.ChunkedArray, _: Arguments) -> pa.ChunkedArray:
    return _left_out(_once([values]), pc.is_null(values))


def unique_together(table: pa.Table, arguments: Arguments) -> Verdict:
    rows = table.select(arguments["column_list"])
    missing = {"all_values_are_missing": pc.and_, "any_value_is_missing": pc.or_}
    ignores = missing.get(arguments.get("ignore_row_if", "all_values_are_missing"))
    met = _once(rows.columns)
    if ignores:
        met = _left_out(met, reduce(ignores, [pc.is_null(column) for column in rows.columns]))
    return _share(met, rows, arguments)


def _left_out(met: pa.ChunkedArray, ignored: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(ignored, pa.scalar(None, pa.bool_()), met)


def _once(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """For each row whether no other has the same values; nulls are the same."""
    rows = pa.table(list(columns), [str(number) for number in range(len(columns))])
    if rows.group_by(rows.column_names).aggregate([]).num_rows == rows.num_rows:
        return pa.chunked_array([pa.repeat(pa.scalar(value=True), rows.num_rows)])
    codes, size = np.zeros(rows.num_rows, np.int64), 1
    for column in columns:
        more, base = _codes(column)
        codes, size = _codes(pa.chunked_array([codes * base + more]))
    return pa.chunked_array([pa.array(np.bincount(codes, minlength=size)[codes] == 1)])


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], int]:
    """A number for each row, the same for the same value, and how many there are."""
    if pa.types.is_string(column.type):
        column = column.cast(pa.large_string())  # whose texts fit one array however many they are
    encoded = column.combine_chunks().dictionary_encode()
    size = len(encoded.dictionary)
    return pc.fill_null(encoded.indices, size).to_numpy().astype(np.int64), size + 1  # nulls are one more value


# ---------------------------------------------------------------- of a whole column


def _is_between(value: Any, arguments: Arguments) -> Verdict:
    if value is None or math.isnan(value):
        return Verdict(success=False, observed="None")
    low, high = arguments.get("min_value"), arguments.get("max_value")
    above = low is None or (value > low if arguments.get("strict_min") else value >= low)
    below = high is None or (value < high if arguments.get("strict_max") else value <= high)
    return Verdict(bool(above and below), str(value))


def of_column(value: Callable[[pa.ChunkedArray], Any]) -> Judging:
    return lambda table, arguments: _is_between(value(_no_nan(table.column(arguments["column"]))), arguments)


def by_pandas(name: str) -> Judging:
    """The arithmetic of Great Expectations is that of a pandas series; so it is here."""
    return of_column(lambda column: getattr(column.to_pandas(), name)())


def distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column, mode="only_valid").as_py())


def share_distinct(column: pa.ChunkedArray) -> float:
    present = len(column) - column.null_count
    return distinct(column) / present if present else 0


def share_present(column: pa.ChunkedArray) -> float:
    return (len(column) - column.null_count) / len(column) if len(column) else 0


def quantiles(table: pa.Table, arguments: Arguments) -> Verdict:
    ranges = arguments["quantile_ranges"]
    wanted = list(ranges["quantiles"])
    values = table.column(arguments["column"]).to_pandas().quantile(wanted, interpolation="nearest").tolist()
    success = all(_within(value, low, high) for value, (low, high) in zip(values, ranges["value_ranges"], strict=True))
    return Verdict(success, str({"quantiles": wanted, "values": values}))


def _within(value: float, low: float | None, high: float | None) -> bool:
    """Great Expectations lets a quantile miss its bounds by a ten-thousandth."""
    bounds = (-math.inf if low is None else low), (math.inf if high is None else high)
    near = any(abs(value - bound) <= 1e-8 + 1e-4 * abs(bound) for bound in bounds if math.isfinite(bound))
    return near or bounds[0] <= value <= bounds[1]


def rows_between(table: pa.Table, arguments: Arguments) -> Verdict:
    return _is_between(table.num_rows, arguments)


def rows_equal(table: pa.Table, arguments: Arguments) -> Verdict:
    return Verdict(table.num_rows == arguments["value"], str(table.num_rows))

"""The expectations that teams use most, judged on Arrow columns with the verdicts of Great Expectations.

Great Expectations' pandas engine sets the meaning: a NaN is missing, a missing value is considered by those about nulls
alone, `mostly` is a share of what is considered. A test compares the two on random tables. What is not in `_KINDS`, and
any argument out of the ordinary, is left to Great Expectations itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.spec.feature_group import Expectation

Arguments = Mapping[str, Any]
_EXACT = 2**53  # below it a float holds each whole number; Great Expectations makes floats of all bounds
_NUMBERS = frozenset({"int", "long", "double"})
_COUNTED = frozenset({"string", "int", "long", "boolean", "date", "timestamp"})  # pandas hashes 0.0 and -0.0 as one


class Verdict(NamedTuple):
    """Whether an expectation is met, and what was found, in words."""

    success: bool
    observed: str


@dataclass(frozen=True)
class _Kind:
    """An expectation that is judged here: on columns of which types, with which arguments, and how."""

    types: frozenset[str]
    takes: Callable[[Arguments, Sequence[str]], bool]
    judge: Callable[[pa.Table, Arguments], Verdict]


def covers(expectation: Expectation, types: Mapping[str, str]) -> bool:
    """Whether it is judged here. `types` are those of the table's columns, in the words of the specifications."""
    kind, arguments = _KINDS.get(expectation.name), expectation.arguments
    found = [types.get(column, "") for column in expectation.columns]
    return (
        kind is not None
        and not {"row_condition", "condition_parser"} & arguments.keys()
        and isinstance(arguments.get("meta", {}), dict)
        and isinstance(arguments.get("notes", ""), str)
        and set(found) <= kind.types
        and len(set(expectation.columns)) == len(found)
        and kind.takes(arguments, found)
    )


def judged(expectation: Expectation, table: pa.Table) -> Verdict:
    """The verdict on a table that holds the expectation's columns. It must be one that `covers` says yes to."""
    return _KINDS[expectation.name].judge(table, expectation.arguments)


# ---------------------------------------------------------------- arguments


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EXACT


def _whole(value: Any) -> bool:
    return _number(value) and isinstance(value, int)


def _mostly(arguments: Arguments) -> bool:
    value = arguments.get("mostly", 1)
    return _number(value) and 0 <= value <= 1


def _bounded(arguments: Arguments, of: Callable[[Any], bool] = _number) -> bool:
    bounds = [arguments[name] for name in ("min_value", "max_value") if arguments.get(name) is not None]
    strict = [arguments.get(name, False) for name in ("strict_min", "strict_max")]
    usable = bool(bounds) and all(map(of, bounds)) and all(isinstance(one, bool) for one in strict)
    return usable and bounds == sorted(bounds)


def _set_of_its_type(arguments: Arguments, types: Sequence[str]) -> bool:
    values, of = arguments["value_set"], (lambda one: isinstance(one, str)) if types == ["string"] else _number
    return isinstance(values, list) and bool(values) and all(map(of, values)) and _mostly(arguments)


def _compiles(arguments: Arguments) -> bool:
    try:
        re.compile(arguments["regex"])
    except (KeyError, TypeError, re.error):
        return False
    return isinstance(arguments["regex"], str) and bool(arguments["regex"])


def _alike(arguments: Arguments, types: Sequence[str]) -> bool:
    ignored = arguments.get("ignore_row_if", "both_values_are_missing")
    return (
        (set(types) <= _NUMBERS or len(set(types)) == 1)
        and ignored in ("both_values_are_missing", "either_value_is_missing", "neither")
        and isinstance(arguments.get("or_equal", False), bool)
        and _mostly(arguments)
    )


def _together(arguments: Arguments, types: Sequence[str]) -> bool:
    named, ignored = arguments["column_list"], arguments.get("ignore_row_if", "all_values_are_missing")
    known = ignored in ("all_values_are_missing", "any_value_is_missing", "never")
    return isinstance(named, list) and len(types) > 1 and known and _mostly(arguments)


def _quantile_ranges(arguments: Arguments) -> bool:
    ranges, allowed = arguments["quantile_ranges"], arguments.get("allow_relative_error", False)
    try:
        quantiles, values = ranges["quantiles"], ranges["value_ranges"]
        pairs = all(
            all(one is None or _number(one) for one in (low, high)) and (None in (low, high) or low <= high)
            for low, high in values
        )
        shares = all(_number(one) and 0 <= one <= 1 for one in quantiles)
    except (KeyError, TypeError, ValueError):
        return False
    return pairs and shares and len(quantiles) == len(values) > 0 and allowed is False


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


def _values(test: Callable[[pa.ChunkedArray, Arguments], pa.ChunkedArray]) -> Callable[[pa.Table, Arguments], Verdict]:
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


def _floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return _no_nan(column).cast(pa.float64(), safe=False)


def _between(values: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    tests = []
    if low is not None:
        tests.append((pc.greater if arguments.get("strict_min") else pc.greater_equal)(values, float(low)))
    if high is not None:
        tests.append((pc.less if arguments.get("strict_max") else pc.less_equal)(values, float(high)))
    return reduce(pc.and_, tests)


def _in_set(values: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    wanted = arguments["value_set"]
    if not pa.types.is_string(values.type):
        values = pc.add(_floats(values), 0.0)  # makes 0.0 of -0.0, which Arrow tells apart
        wanted = [one + 0.0 for one in wanted]
    return _among(values, pa.array(wanted, values.type))


def _among(values: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray:
    return pc.if_else(pc.is_valid(values), pc.is_in(values, value_set=wanted), pa.scalar(None, pa.bool_()))


def _matches(values: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    """Each distinct text is looked at once, by Python's own regular expressions, as in Great Expectations."""
    search, texts = re.compile(arguments["regex"]).search, pc.unique(values)
    found = texts.filter(pa.array([text is not None and not search(text) for text in texts.to_pylist()], pa.bool_()))
    return pc.invert(_among(values, found))


def _pairs(compare: Callable[..., pa.ChunkedArray]) -> Callable[[pa.Table, Arguments], Verdict]:
    def judge(table: pa.Table, arguments: Arguments) -> Verdict:
        rows = table.select([arguments["column_A"], arguments["column_B"]])
        fractions = any(pa.types.is_floating(kind) for kind in rows.schema.types)
        a, b = (_floats(column) if fractions else column for column in rows.columns)
        met = pc.fill_null(compare(a, b, arguments), fill_value=False)  # nothing is greater than, or equal to, a null
        missing = {"both_values_are_missing": pc.and_, "either_value_is_missing": pc.or_}
        ignores = missing.get(arguments.get("ignore_row_if", "both_values_are_missing"))
        return _share(_left_out(met, ignores(pc.is_null(a), pc.is_null(b))) if ignores else met, rows, arguments)

    return judge


def _greater(a: pa.ChunkedArray, b: pa.ChunkedArray, arguments: Arguments) -> pa.ChunkedArray:
    return (pc.greater_equal if arguments.get("or_equal") else pc.greater)(a, b)


def _unique_together(table: pa.Table, arguments: Arguments) -> Verdict:
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


def _of_column(value: Callable[[pa.ChunkedArray], Any]) -> Callable[[pa.Table, Arguments], Verdict]:
    return lambda table, arguments: _is_between(value(_no_nan(table.column(arguments["column"]))), arguments)


def _by_pandas(name: str) -> Callable[[pa.Table, Arguments], Verdict]:
    """The arithmetic of Great Expectations is that of a pandas series; so it is here."""
    return _of_column(lambda column: getattr(column.to_pandas(), name)())


def _distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column, mode="only_valid").as_py())


def _share_distinct(column: pa.ChunkedArray) -> float:
    present = len(column) - column.null_count
    return _distinct(column) / present if present else 0


def _share_present(column: pa.ChunkedArray) -> float:
    return (len(column) - column.null_count) / len(column) if len(column) else 0


def _quantiles(table: pa.Table, arguments: Arguments) -> Verdict:
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


def _rows_equal(table: pa.Table, arguments: Arguments) -> Verdict:
    return Verdict(table.num_rows == arguments["value"], str(table.num_rows))


# ---------------------------------------------------------------- what is judged here

_EACH = (lambda arguments, _: _mostly(arguments),)
_TEXT = frozenset({"string"})
_ANY = _COUNTED | {"double"}
_NOTHING: frozenset[str] = frozenset()


def _bounds_of(types: frozenset[str], name: str) -> _Kind:
    return _Kind(types, lambda arguments, _: _bounded(arguments), _by_pandas(name))


_KINDS: Mapping[str, _Kind] = {
    "expect_column_values_to_not_be_null": _Kind(_ANY, *_EACH, _values(lambda values, _: pc.is_valid(values))),
    "expect_column_values_to_be_null": _Kind(_ANY, *_EACH, _values(lambda values, _: pc.is_null(values))),
    "expect_column_values_to_be_between": _Kind(
        _NUMBERS, lambda a, _: _bounded(a) and _mostly(a), _values(lambda values, a: _between(_floats(values), a))
    ),
    "expect_column_values_to_be_in_set": _Kind(_NUMBERS | _TEXT, _set_of_its_type, _values(_in_set)),
    "expect_column_values_to_not_be_in_set": _Kind(
        _NUMBERS | _TEXT, _set_of_its_type, _values(lambda values, a: pc.invert(_in_set(values, a)))
    ),
    "expect_column_values_to_match_regex": _Kind(
        _TEXT, lambda a, _: _compiles(a) and _mostly(a), _values(_matches)
    ),
    "expect_column_values_to_not_match_regex": _Kind(
        _TEXT, lambda a, _: _compiles(a) and _mostly(a), _values(lambda values, a: pc.invert(_matches(values, a)))
    ),
    "expect_column_value_lengths_to_be_between": _Kind(
        _TEXT,
        lambda a, _: _bounded(a, _whole) and _mostly(a),
        _values(lambda values, a: _between(_floats(pc.utf8_length(values)), a)),
    ),
    "expect_column_value_lengths_to_equal": _Kind(
        _TEXT,
        lambda a, _: _whole(a["value"]) and _mostly(a),
        _values(lambda values, a: pc.equal(pc.utf8_length(values), a["value"])),
    ),
    "expect_column_values_to_be_unique": _Kind(
        _COUNTED, *_EACH, _values(lambda values, _: _left_out(_once([values]), pc.is_null(values)))
    ),
    "expect_compound_columns_to_be_unique": _Kind(_COUNTED, _together, _unique_together),
    "expect_column_pair_values_a_to_be_greater_than_b": _Kind(_NUMBERS | {"timestamp"}, _alike, _pairs(_greater)),
    "expect_column_pair_values_to_be_equal": _Kind(
        _NUMBERS | _TEXT | {"timestamp"}, _alike, _pairs(lambda a, b, _: pc.equal(a, b))
    ),
    **{
        f"expect_column_{name}_to_be_between": _bounds_of(_NUMBERS, method)
        for name, method in {
            "min": "min", "max": "max", "sum": "sum", "mean": "mean", "median": "median", "stdev": "std",
        }.items()
    },
    "expect_column_quantile_values_to_be_between": _Kind(_NUMBERS, lambda a, _: _quantile_ranges(a), _quantiles),
    "expect_column_unique_value_count_to_be_between": _Kind(
        _COUNTED, lambda a, _: _bounded(a), _of_column(_distinct)
    ),
    "expect_column_proportion_of_unique_values_to_be_between": _Kind(
        _COUNTED, lambda a, _: _bounded(a), _of_column(_share_distinct)
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": _Kind(
        _ANY, lambda a, _: _bounded(a), _of_column(_share_present)
    ),
    "expect_table_row_count_to_be_between": _Kind(
        _NOTHING, lambda a, _: _bounded(a, _whole), lambda table, a: _is_between(table.num_rows, a)
    ),
    "expect_table_row_count_to_equal": _Kind(_NOTHING, lambda a, _: _whole(a["value"]), _rows_equal),
}  # fmt: skip

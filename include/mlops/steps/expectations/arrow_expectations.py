"""The expectations that teams use most, judged on Arrow columns with the verdicts of Great Expectations.

A test compares the two on random tables. What is not in `_KINDS`, and any argument out of the ordinary, is left to
Great Expectations itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.spec.feature_group import Expectation
from include.mlops.steps.expectations.arrow_verdicts import (
    Arguments,
    Judging,
    Verdict,
    between,
    by_pandas,
    distinct,
    floats,
    greater,
    in_set,
    matches,
    of_column,
    of_pairs,
    of_values,
    quantiles,
    rows_between,
    rows_equal,
    share_distinct,
    share_present,
    unique,
    unique_together,
)

_EXACT = 2**53  # below it a float holds each whole number; Great Expectations makes floats of all bounds
_NUMBERS = frozenset({"int", "long", "double"})
_COUNTED = frozenset({"string", "int", "long", "boolean", "date", "timestamp"})  # pandas hashes 0.0 and -0.0 as one


@dataclass(frozen=True)
class _Kind:
    """An expectation that is judged here: on columns of which types, with which arguments, and how."""

    types: frozenset[str]
    takes: Callable[[Arguments, Sequence[str]], bool]
    judge: Judging


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


def _quantile_ranges(arguments: Arguments, _types: Sequence[str]) -> bool:
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


# ---------------------------------------------------------------- what is judged here


def _each(arguments: Arguments, _types: Sequence[str]) -> bool:
    return _mostly(arguments)


def _each_bounded(arguments: Arguments, _types: Sequence[str]) -> bool:
    return _bounded(arguments) and _mostly(arguments)


def _each_length_bounded(arguments: Arguments, _types: Sequence[str]) -> bool:
    return _bounded(arguments, _whole) and _mostly(arguments)


def _each_matched(arguments: Arguments, _types: Sequence[str]) -> bool:
    return _compiles(arguments) and _mostly(arguments)


def _one_bounded(arguments: Arguments, _types: Sequence[str]) -> bool:
    return _bounded(arguments)


_TEXT, _TIME = frozenset({"string"}), frozenset({"timestamp"})
_ANY, _NO_COLUMN = _COUNTED | {"double"}, frozenset[str]()
_STATISTICS = {"min": "min", "max": "max", "sum": "sum", "mean": "mean", "median": "median", "stdev": "std"}

_COLUMN_VALUES = {
    "to_not_be_null": _Kind(_ANY, _each, of_values(lambda values, _: pc.is_valid(values))),
    "to_be_null": _Kind(_ANY, _each, of_values(lambda values, _: pc.is_null(values))),
    "to_be_between": _Kind(_NUMBERS, _each_bounded, of_values(lambda values, a: between(floats(values), a))),
    "to_be_in_set": _Kind(_NUMBERS | _TEXT, _set_of_its_type, of_values(in_set)),
    "to_not_be_in_set": _Kind(
        _NUMBERS | _TEXT, _set_of_its_type, of_values(lambda values, a: pc.invert(in_set(values, a)))
    ),
    "to_match_regex": _Kind(_TEXT, _each_matched, of_values(matches)),
    "to_not_match_regex": _Kind(_TEXT, _each_matched, of_values(lambda values, a: pc.invert(matches(values, a)))),
    "to_be_unique": _Kind(_COUNTED, _each, of_values(unique)),
}
_KINDS: Mapping[str, _Kind] = {
    **{f"expect_column_values_{name}": kind for name, kind in _COLUMN_VALUES.items()},
    "expect_column_value_lengths_to_be_between": _Kind(
        _TEXT, _each_length_bounded, of_values(lambda values, a: between(floats(pc.utf8_length(values)), a))
    ),
    "expect_column_value_lengths_to_equal": _Kind(
        _TEXT,
        lambda a, _: _whole(a["value"]) and _mostly(a),
        of_values(lambda values, a: pc.equal(pc.utf8_length(values), a["value"])),
    ),
    "expect_compound_columns_to_be_unique": _Kind(_COUNTED, _together, unique_together),
    "expect_column_pair_values_a_to_be_greater_than_b": _Kind(_NUMBERS | _TIME, _alike, of_pairs(greater)),
    "expect_column_pair_values_to_be_equal": _Kind(
        _NUMBERS | _TIME | _TEXT, _alike, of_pairs(lambda a, b, _: pc.equal(a, b))
    ),
    **{
        f"expect_column_{name}_to_be_between": _Kind(_NUMBERS, _one_bounded, by_pandas(method))
        for name, method in _STATISTICS.items()
    },
    "expect_column_quantile_values_to_be_between": _Kind(_NUMBERS, _quantile_ranges, quantiles),
    "expect_column_unique_value_count_to_be_between": _Kind(_COUNTED, _one_bounded, of_column(distinct)),
    "expect_column_proportion_of_unique_values_to_be_between": _Kind(_COUNTED, _one_bounded, of_column(share_distinct)),
    "expect_column_proportion_of_non_null_values_to_be_between": _Kind(_ANY, _one_bounded, of_column(share_present)),
    "expect_table_row_count_to_be_between": _Kind(_NO_COLUMN, lambda a, _: _bounded(a, _whole), rows_between),
    "expect_table_row_count_to_equal": _Kind(_NO_COLUMN, lambda a, _: _whole(a["value"]), rows_equal),
}

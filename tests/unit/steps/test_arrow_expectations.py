"""Verdicts on Arrow columns are those of Great Expectations on the same rows, or are left to it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.mlops.spec.expectation_names import EXPECTATIONS
from include.mlops.spec.feature_group import Expectation, FeatureGroup
from include.mlops.steps.expectations.arrow_expectations import _KINDS, covers, judged
from include.mlops.steps.expectations.great_expectations_suite import GreatExpectationsSuite

pytestmark = pytest.mark.slow
DS = date(2013, 3, 1)
TYPES = {
    "s": "string", "t": "string", "i": "int", "j": "int", "l": "long", "m": "long", "d": "double", "e": "double",
    "b": "boolean", "day": "date", "at": "timestamp", "to": "timestamp",
}  # fmt: skip
ARROW = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}
NUMBERS, TEXTS = ["i", "j", "l", "m", "d", "e"], ["s", "t"]
COUNTED = [column for column, kind in TYPES.items() if kind != "double"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["", "a", "b", "ab", "é", "a\n", "N10", "٣", "None", "nan"]) | st.text(max_size=3),
    "int": st.integers(-3, 3) | st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-3, 3) | st.integers(-(2**53), 2**53),  # all that pandas can hold beside a missing one
    "double": st.sampled_from([0.0, -0.0, 1.0, 1.5, 2.0, -3.0, math.nan, math.inf, -math.inf]) | st.floats(width=64),
    "boolean": st.booleans(),
    "date": st.dates(date(2013, 3, 1), date(2013, 3, 3)),
    "timestamp": st.datetimes(datetime(2013, 3, 1), datetime(2013, 3, 2)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001
}
NUMBER = st.integers(-3, 3) | st.sampled_from([-0.0, 0.5, 1.5, 2.0, 1e9, -1e9, 2**53 - 1])
MOSTLY = st.sampled_from([0, 0.25, 1 / 3, 0.5, 2 / 3, 0.9, 1, 1.0])
REGEXES = ["^a", "b$", "^a$", r"\d", r"\w{2}", "a|é", "(a)(b)?", "^$", "(?i)A", r"a\Z", "(?=a)", "[^a]", "N[0-9]+"]


def _one(**arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Those arguments, of which `mostly` and others that have a default may be left out."""
    optional = {"mostly": MOSTLY}
    return st.fixed_dictionaries(arguments, optional=optional)


def _column(columns: list[str], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _one(column=st.sampled_from(columns), **more)


@st.composite
def _between(draw: st.DrawFn, columns: list[str] | None, number: st.SearchStrategy[Any] = NUMBER) -> dict[str, Any]:
    low, high = sorted((draw(number), draw(number)))
    chosen = draw(st.sampled_from([{"min_value": low}, {"max_value": high}, {"min_value": low, "max_value": high}]))
    strict = draw(st.fixed_dictionaries({}, optional={"strict_min": st.booleans(), "strict_max": st.booleans()}))
    return {**({"column": draw(st.sampled_from(columns))} if columns else {}), **chosen, **strict}


def _with_mostly(arguments: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(arguments, st.fixed_dictionaries({}, optional={"mostly": MOSTLY})).map(lambda two: two[0] | two[1])


def _sets() -> st.SearchStrategy[dict[str, Any]]:
    texts = _column(TEXTS, value_set=st.lists(VALUES["string"], min_size=1, max_size=4))
    return texts | _column(NUMBERS, value_set=st.lists(NUMBER, min_size=1, max_size=4))


@st.composite
def _pair(draw: st.DrawFn, *kinds: list[str]) -> dict[str, Any]:
    of = draw(st.sampled_from(kinds))
    ignored = st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"])
    more = draw(st.fixed_dictionaries({}, optional={"ignore_row_if": ignored, "mostly": MOSTLY}))
    a, b = draw(st.lists(st.sampled_from(of), min_size=2, max_size=2, unique=True))
    return {"column_A": a, "column_B": b, **more}


def _compound() -> st.SearchStrategy[dict[str, Any]]:
    ignored = st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])
    return st.fixed_dictionaries(
        {"column_list": st.lists(st.sampled_from(COUNTED), min_size=2, max_size=4, unique=True)},
        optional={"ignore_row_if": ignored, "mostly": MOSTLY},
    )


@st.composite
def _quantiles(draw: st.DrawFn) -> dict[str, Any]:
    quantiles = sorted(draw(st.lists(st.sampled_from([0, 0.1, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=3)))
    bound = st.none() | NUMBER
    pairs = [(draw(bound), draw(bound)) for _ in quantiles]
    ranges = [[low, high] if None in (low, high) else sorted((low, high)) for low, high in pairs]
    given_ranges = {"quantiles": quantiles, "value_ranges": ranges}
    return {"column": draw(st.sampled_from(NUMBERS)), "quantile_ranges": given_ranges}


COUNT = st.integers(0, 5)
ARGUMENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "expect_column_values_to_not_be_null": _column(list(TYPES)),
    "expect_column_values_to_be_null": _column(list(TYPES)),
    "expect_column_values_to_be_between": _with_mostly(_between(NUMBERS)),
    "expect_column_values_to_be_in_set": _sets(),
    "expect_column_values_to_not_be_in_set": _sets(),
    "expect_column_values_to_match_regex": _column(TEXTS, regex=st.sampled_from(REGEXES)),
    "expect_column_values_to_not_match_regex": _column(TEXTS, regex=st.sampled_from(REGEXES)),
    "expect_column_value_lengths_to_be_between": _with_mostly(_between(TEXTS, COUNT)),
    "expect_column_value_lengths_to_equal": _column(TEXTS, value=COUNT),
    "expect_column_values_to_be_unique": _column(COUNTED),
    "expect_compound_columns_to_be_unique": _compound(),
    "expect_column_pair_values_a_to_be_greater_than_b": st.tuples(
        _pair(NUMBERS, ["at", "to"]), st.fixed_dictionaries({}, optional={"or_equal": st.booleans()})
    ).map(lambda two: two[0] | two[1]),
    "expect_column_pair_values_to_be_equal": _pair(NUMBERS, ["at", "to"], TEXTS),
    "expect_column_min_to_be_between": _between(NUMBERS),
    "expect_column_max_to_be_between": _between(NUMBERS),
    "expect_column_sum_to_be_between": _between(NUMBERS),
    "expect_column_mean_to_be_between": _between(NUMBERS),
    "expect_column_median_to_be_between": _between(NUMBERS),
    "expect_column_stdev_to_be_between": _between(NUMBERS),
    "expect_column_quantile_values_to_be_between": _quantiles(),
    "expect_column_unique_value_count_to_be_between": _between(COUNTED, COUNT),
    "expect_column_proportion_of_unique_values_to_be_between": _between(COUNTED),
    "expect_column_proportion_of_non_null_values_to_be_between": _between(list(TYPES)),
    "expect_table_row_count_to_be_between": _between(None, COUNT),
    "expect_table_row_count_to_equal": st.fixed_dictionaries({"value": COUNT}),
}


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    size = draw(st.integers(0, 6))
    shares = {column: draw(st.sampled_from(["none", "some", "all"])) for column in TYPES}
    columns = {}
    for column, kind in TYPES.items():
        present = st.integers(-(2**63), 2**63 - 1) | VALUES[kind] if kind == "long" else VALUES[kind]
        values = {"none": present, "some": st.none() | VALUES[kind], "all": st.none()}[shares[column]]
        columns[column] = pa.array(draw(st.lists(values, min_size=size, max_size=size)), ARROW[kind])
    cut = draw(st.integers(0, size))
    table = pa.table(columns)
    return pa.concat_tables([table.slice(0, cut), table.slice(cut)])  # more than one chunk


@st.composite
def _expectations(draw: st.DrawFn) -> list[Expectation]:
    return [Expectation(name=name, arguments=draw(arguments)) for name, arguments in ARGUMENTS.items()]


@cache
def _group() -> FeatureGroup:
    columns = {**TYPES, "known": "timestamp"}
    return FeatureGroup.model_validate(
        {
            "name": "rows",
            "owner": "team",
            "description": "made up",
            "keys": ["s"],
            "event_time": "at",
            "available_at": "known",
            "source": {"format": "csv", "path": "{ds}.csv", "columns": columns},
            "publishes": columns,
            "first_partition": DS,
            "schedule": {"start": DS},
        }
    )


def test_all_that_is_judged_on_arrow_is_compared() -> None:
    assert ARGUMENTS.keys() == _KINDS.keys()
    assert _KINDS.keys() <= EXPECTATIONS


@given(table=_tables(), expectations=_expectations())
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_verdicts_and_counts_are_those_of_great_expectations(table: pa.Table, expectations: list[Expectation]) -> None:
    assert [one for one in expectations if not covers(one, TYPES)] == []
    theirs = GreatExpectationsSuite(_group(), expectations)(table.to_pandas())
    for one, found in zip(expectations, theirs, strict=True):
        mine = judged(one, table.select(one.columns) if one.columns else table)
        # An example of a value may read otherwise: pandas makes floats of whole numbers where one is missing.
        assert (mine.success, mine.observed.partition(" otherwise")[0]) == (
            found.success,
            found.observed.partition(" otherwise")[0],
        ), one


def test_whole_numbers_stay_whole_beside_a_missing_one() -> None:
    """The one wanted difference: pandas makes floats of them, which then look alike."""
    ids = pa.table({"l": pa.array([2**53, 2**53 + 1, None], pa.int64())})
    unique = Expectation(name="expect_column_values_to_be_unique", arguments={"column": "l"})
    assert judged(unique, ids).success
    assert not GreatExpectationsSuite(_group(), [unique])(ids.to_pandas())[0].success


def _says(name: str, **arguments: Any) -> Expectation:
    return Expectation(name=f"expect_{name}", arguments=arguments)


@pytest.mark.parametrize(
    "expectation",
    [
        _says("column_values_to_be_increasing", column="i"),
        _says("column_values_to_not_be_null", column="i", row_condition="j > 1", condition_parser="pandas"),
        _says("column_values_to_not_be_null", column="i", mostly=3),
        _says("column_values_to_not_be_null", column="i", mostly="1"),
        _says("column_values_to_not_be_null", column="i", meta="mine"),
        _says("column_values_to_be_between", column="s", max_value=5),
        _says("column_values_to_be_between", column="day", max_value="2013-03-01"),
        _says("column_values_to_be_between", column="i"),
        _says("column_values_to_be_between", column="i", min_value=2, max_value=1),
        _says("column_values_to_be_between", column="i", min_value="2"),
        _says("column_values_to_be_between", column="l", max_value=2**53),
        _says("column_values_to_be_between", column="d", max_value=math.nan),
        _says("column_values_to_be_in_set", column="s", value_set=["a", 1]),
        _says("column_values_to_be_in_set", column="i", value_set=[1, None]),
        _says("column_values_to_be_in_set", column="i", value_set=[True]),
        _says("column_values_to_be_in_set", column="day", value_set=["2013-03-01"]),
        _says("column_values_to_match_regex", column="s", regex="("),
        _says("column_values_to_match_regex", column="i", regex="1"),
        _says("column_value_lengths_to_be_between", column="s", min_value=1.5),
        _says("column_values_to_be_unique", column="d"),
        _says("compound_columns_to_be_unique", column_list=["s"]),
        _says("column_pair_values_to_be_equal", column_A="i", column_B="s"),
        _says("column_pair_values_to_be_equal", column_A="i", column_B="j", ignore_row_if="never"),
        _says("column_max_to_be_between", column="at", max_value="2013-03-01"),
        _says("column_mean_to_be_between", column="b", max_value=1),
        _says("column_quantile_values_to_be_between", column="d", quantile_ranges={"quantiles": [0.5]}),
        _says("table_row_count_to_be_between"),
    ],
    ids=str,
)
def test_anything_out_of_the_ordinary_is_left_to_great_expectations(expectation: Expectation) -> None:
    assert not covers(expectation, TYPES)

"""Write, audit, publish: nobody reads what is staged, and publishing is whole days, once, in whatever order."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pyspark.sql import SparkSession

from include.mlops.errors import MlopsError
from include.mlops.lake.lake import Lake
from include.mlops.lake.staging import Staged, publish, stage, staged_day
from include.mlops.spec.interval import Interval

pytestmark = pytest.mark.slow
FIRST = date(2013, 3, 1)
ALL = Interval(FIRST, FIRST + timedelta(days=9))
Rows = dict[int, list[str]]


def _day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def _stage(lake: Lake, spark: SparkSession, table: str, rows: Rows) -> Staged:
    """Each day of `rows` with its keys, a day without any included."""
    values = [(key, number, _day(number)) for number, keys in rows.items() for key in keys]
    frame = spark.createDataFrame(values, "key string, value int, ds date")
    return stage(lake, spark, table, frame, [_day(number) for number in rows])


def _publish(lake: Lake, spark: SparkSession, staged: Staged, *days: int) -> int:
    return publish(lake, spark, staged, [_day(number) for number in days] or list(staged.rows))


def _seen(lake: Lake, table: str) -> Rows:
    found: Rows = {}
    for row in lake.read(table, ALL).to_pylist():
        found.setdefault(row["ds"].day, []).append(row["key"])
    return {number: sorted(keys) for number, keys in sorted(found.items())}


def test_staged_rows_are_read_by_the_audit_alone(lake: Lake, spark: SparkSession, table: str) -> None:
    staged = _stage(lake, spark, table, {1: ["a", "b"], 2: ["c"]})
    assert staged.rows == {_day(1): 2, _day(2): 1}
    assert staged_day(lake, staged, _day(1)).column("key").to_pylist() == ["a", "b"]
    assert (_seen(lake, table), lake.snapshot(table)) == ({}, None)
    snapshot = _publish(lake, spark, staged)
    assert _seen(lake, table) == {1: ["a", "b"], 2: ["c"]}
    assert lake.snapshot(table) == snapshot


def test_publishing_twice_makes_no_second_commit(lake: Lake, spark: SparkSession, table: str) -> None:
    whole = _stage(lake, spark, table, {1: ["a"], 2: ["b"]})
    assert _publish(lake, spark, whole) == _publish(lake, spark, whole)
    part = _stage(lake, spark, table, {1: ["x"], 2: ["y"]})
    assert _publish(lake, spark, part, 1) == _publish(lake, spark, part, 1)
    assert len(lake.table(table).history()) == 2
    assert _seen(lake, table) == {1: ["x"], 2: ["b"]}


def test_a_part_of_the_staged_days_is_published_and_the_rest_later(lake: Lake, spark: SparkSession, table: str) -> None:
    _publish(lake, spark, _stage(lake, spark, table, {1: ["old"], 2: ["old"], 3: ["old"]}))
    staged = _stage(lake, spark, table, {1: ["new"], 2: ["new"], 3: ["new"]})
    _publish(lake, spark, staged, 1, 3)
    assert _seen(lake, table) == {1: ["new"], 2: ["old"], 3: ["new"]}
    between = _stage(lake, spark, table, {3: ["newer"]})
    _publish(lake, spark, between)
    _publish(lake, spark, staged)  # day 2 passed after all
    assert _seen(lake, table) == {1: ["new"], 2: ["new"], 3: ["newer"]}, "what was published before is not taken back"


def test_a_day_that_became_empty_loses_its_rows(lake: Lake, spark: SparkSession, table: str) -> None:
    _publish(lake, spark, _stage(lake, spark, table, {1: ["a"], 2: ["b"], 3: ["c"]}))
    some = _stage(lake, spark, table, {1: [], 2: ["x"]})
    assert some.rows == {_day(1): 0, _day(2): 1}
    assert staged_day(lake, some, _day(1)).num_rows == 0
    _publish(lake, spark, some)
    assert _seen(lake, table) == {2: ["x"], 3: ["c"]}
    nothing = _stage(lake, spark, table, {2: []})
    assert (nothing.rows, staged_day(lake, nothing, _day(2)).column_names) == ({_day(2): 0}, ["key", "value", "ds"])
    assert _publish(lake, spark, nothing) == _publish(lake, spark, nothing)
    assert _seen(lake, table) == {3: ["c"]}


def test_nothing_can_be_published_to_a_table_without_rows(lake: Lake, spark: SparkSession, table: str) -> None:
    nothing = _stage(lake, spark, table, {1: []})
    assert _publish(lake, spark, nothing) == lake.snapshot(table)
    assert _seen(lake, table) == {}


@pytest.mark.parametrize("interleaved", [False, True], ids=["one after the other", "interleaved"])
def test_of_two_stagings_the_one_published_last_counts(
    lake: Lake, spark: SparkSession, table: str, interleaved: bool
) -> None:
    first = _stage(lake, spark, table, {1: ["first"], 2: ["kept"]})
    if not interleaved:
        _publish(lake, spark, first)
    second = _stage(lake, spark, table, {1: ["second"]})
    _publish(lake, spark, second)
    if not interleaved:
        assert _seen(lake, table) == {1: ["second"], 2: ["kept"]}
        return
    _publish(lake, spark, first)
    assert _seen(lake, table) == {1: ["first"], 2: ["kept"]}
    later, earlier = _publish(lake, spark, first), _publish(lake, spark, second)
    order = lake.order(table)
    assert order[later] > order[earlier]
    assert _seen(lake, table) == {1: ["first"], 2: ["kept"]}, "a late repetition of the second changes nothing"


def test_another_day_published_between_staging_and_publishing_is_kept(
    lake: Lake, spark: SparkSession, table: str
) -> None:
    _publish(lake, spark, _stage(lake, spark, table, {1: ["a"], 2: ["b"], 3: ["c"]}))
    staged = _stage(lake, spark, table, {1: ["A"]})
    part = _stage(lake, spark, table, {3: ["C"], 4: ["D"]})
    _publish(lake, spark, _stage(lake, spark, table, {2: ["B"]}))
    _publish(lake, spark, staged)
    _publish(lake, spark, part, 3)
    assert _seen(lake, table) == {1: ["A"], 2: ["B"], 3: ["C"]}


def test_rows_of_days_that_were_not_asked_for_are_refused(lake: Lake, spark: SparkSession, table: str) -> None:
    values = [("a", 1, _day(1)), ("b", 2, _day(2)), ("c", 3, None)]
    frame = spark.createDataFrame(values, "key string, value int, ds date")
    with pytest.raises(MlopsError, match="found some of 2013-03-02, None too; nothing of them is published"):
        stage(lake, spark, table, frame, [_day(1)])
    assert _seen(lake, table) == {}


def test_the_same_rows_in_another_order_give_the_same_file(lake: Lake, spark: SparkSession, table: str) -> None:
    orders = [["b", "a", "d", "c"], ["c", "d", "a", "b"]]
    for keys in orders:
        _publish(lake, spark, _stage(lake, spark, table, {1: keys}))
        assert lake.read(table, ALL).column("key").to_pylist() == ["a", "b", "c", "d"]

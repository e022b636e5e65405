"""What a transform calls, on a small table drawn by hand; nothing known after a cut-off reaches any of it."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from include.mlops.features import (
    Aggregation,
    PointInTime,
    Reads,
    count,
    days_since,
    distinct,
    maximum,
    mean,
    minimum,
    share,
    standard_deviation,
    total,
)
from tests.integration.ingest.bundle import day

pytestmark = pytest.mark.slow
ROWS = [
    # key, ds, event time, known from, value
    ("x", 8, "2013-03-08 23:30", 9, 1.0),
    ("x", 9, "2013-03-09 06:00", 10, 2.0),
    ("x", 9, "2013-03-09 07:00", 11, 40.0),  # known a day late
    ("x", 10, "2013-03-10 01:30", 11, 8.0),
    ("x", 10, "2013-03-10 03:30", 11, None),  # an hour later, across the gap
    ("x", 11, "2013-03-11 06:00", 12, 16.0),
    ("y", 10, "2013-03-10 23:59", 11, 3.0),
    ("y", 10, "2013-03-10 23:59", 11, 5.0),  # at the same instant
    ("z", 7, "2013-03-07 06:00", 8, 7.0),
]


@pytest.fixture(scope="module")
def seen(spark: SparkSession) -> Callable[..., PointInTime]:
    """A view of rows such as ROWS, as seen from those days of March, with the lag [-2d, -1d]."""
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    schema = "key string, ds date, event_time timestamp_ntz, available_at timestamp_ntz, known_from date, value double"

    def make(rows: list[tuple[Any, ...]], *days: int) -> PointInTime:
        made = [
            {
                "key": key,
                "ds": day(ds),
                "event_time": dt.datetime.fromisoformat(at),
                "available_at": dt.datetime.combine(day(known), dt.time()),
                "known_from": day(known),
                "value": value,
            }
            for key, ds, at, known, value in rows
        ]
        published = spark.createDataFrame(made, schema)
        for name in ("event_time", "available_at"):
            published = published.withColumn(name, F.col(name).cast("timestamp"))
        seen_from = spark.createDataFrame([(day(n), day(n)) for n in days], "ds date, cutoff date")
        return PointInTime(published, seen_from, (-2, -1))

    return make


def _value() -> Column:
    return F.col("value")


def _every() -> dict[str, Aggregation]:
    value = _value()
    return {
        "mean": mean(value),
        "late": share(value > 2),
        "total": total(value),
        "rows": count(),
        "values": count(value),
        "kinds": distinct(value),
        "least": minimum(value),
        "most": maximum(value),
        "spread": standard_deviation(value),
        "since": days_since(value > 2),
    }


@pytest.fixture(scope="module")
def view(seen: Callable[..., PointInTime]) -> PointInTime:
    return seen(ROWS, 9, 10, 11, 12)


@pytest.fixture(scope="module")
def every(view: PointInTime) -> dict[tuple[str, int], dict[str, Any]]:
    """Every feature by key and day."""
    return _by_key(view.trailing(by=["key"], **_every()))


def _by_key(table: DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["key"], row["ds"].day): row.asDict() for row in table.collect()}


def _feature(every: dict[tuple[str, int], dict[str, Any]], name: str) -> dict[tuple[str, int], Any]:
    return {at: row[name] for at, row in sorted(every.items())}


def test_a_trailing_mean_takes_known_values_of_the_lag_alone(every: Any) -> None:
    assert _feature(every, "mean") == {
        ("x", 9): 1.0,  # the 8th; the 7th has none
        ("x", 10): 1.5,  # 1 and 2: the third row is known from the 11th on only
        ("x", 11): (2.0 + 40.0 + 8.0) / 3,  # the null does not count
        ("x", 12): (8.0 + 16.0) / 2,
        ("y", 11): 4.0,
        ("y", 12): 4.0,
        ("z", 9): 7.0,
    }


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("late", (0.0, 0.0, 2 / 3, 1.0)),
        ("total", (1.0, 3.0, 50.0, 24.0)),
        ("rows", (1, 2, 4, 3)),
        ("values", (1, 2, 3, 2)),
        ("kinds", (1, 2, 3, 2)),
        ("least", (1.0, 1.0, 2.0, 8.0)),
        ("most", (1.0, 2.0, 40.0, 16.0)),
        ("since", (None, None, 1, 1)),
    ],
)
def test_each_aggregation_is_what_its_days_give_by_hand(every: Any, name: str, by_hand: tuple[Any, ...]) -> None:
    assert tuple(_feature(every, name)["x", number] for number in (9, 10, 11, 12)) == by_hand


def test_a_standard_deviation_is_that_of_all_values_together(every: Any) -> None:
    found = _feature(every, "spread")
    assert (found["x", 9], found["z", 9]) == (None, None), "of one value there is none"
    for at, values in {("x", 10): (1, 2), ("x", 11): (2, 40, 8), ("y", 11): (3, 5)}.items():
        assert found[at] == pytest.approx(statistics.stdev(values), rel=1e-12)


def test_a_standard_deviation_keeps_its_digits_where_values_are_large(seen: Callable[..., PointInTime]) -> None:
    rows = [("x", 8 + n % 2, f"2013-03-{8 + n % 2:02} 06:00", 10, 1e9 + n) for n in range(6)]
    [row] = seen(rows, 10).trailing(by=["key"], spread=standard_deviation(_value())).collect()
    assert row["spread"] == pytest.approx(statistics.stdev(range(6)), rel=1e-9)


def test_without_keys_all_rows_of_a_day_are_one(view: PointInTime) -> None:
    shares = view.trailing(by=[], late=share(_value() > 2)).collect()
    assert sorted((row["ds"].day, row["late"]) for row in shares) == [(9, 0.5), (10, 0.0), (11, 0.8), (12, 1.0)]


def test_a_part_of_the_lag_is_a_window_of_its_own(view: PointInTime) -> None:
    found = _by_key(view.trailing(by=["key"], over=(-1, -1), total=total(_value()), rows=count()))
    assert {at: (row["total"], row["rows"]) for at, row in found.items()} == {
        ("x", 9): (1.0, 1),
        ("x", 10): (2.0, 1),
        ("x", 11): (8.0, 2),
        ("x", 12): (16.0, 1),
        ("y", 11): (8.0, 2),
    }


@pytest.mark.parametrize("over", [(-3, -1), (-2, 0), (-1, -2)])
def test_days_outside_the_declared_lag_are_refused(view: PointInTime, over: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"within the declared lag of \[-2, -1\], found over="):
        view.trailing(by=["key"], over=over, rows=count())


def test_a_feature_is_the_same_to_its_last_bit_however_many_days_are_computed(seen: Callable[..., PointInTime]) -> None:
    rows = [
        ("x", ds, f"2013-03-{ds:02} {hour:02}:00", ds + 1, math.sin(ds * 24 + hour) * 10.0 ** (hour % 7))
        for ds in range(5, 13)
        for hour in range(12)
    ]
    together = _by_key(seen(rows, *range(7, 13)).trailing(by=["key"], **_every()))
    for number in (8, 11):
        assert _by_key(seen(rows, number).trailing(by=["key"], **_every()))["x", number] == together["x", number]


def test_nothing_that_was_known_after_the_cut_off_changes_a_feature(
    seen: Callable[..., PointInTime], every: Any
) -> None:
    """Seen from the 11th: rows known from the 12th on, whatever their day, and rows outside the lag."""
    leaks = [
        ("x", 10, "2013-03-10 05:00", 12, 1e6),
        ("x", 9, "2013-03-09 05:00", 13, 1e6),
        ("x", 11, "2013-03-11 00:30", 11, 1e6),
        ("x", 8, "2013-03-08 05:00", 9, 1e6),
        ("w", 10, "2013-03-10 05:00", 12, 1e6),
    ]
    changed = [row if row[3] <= 11 else (*row[:4], -1e6) for row in ROWS] + leaks
    after = _by_key(seen(changed, 11).trailing(by=["key"], **_every()))
    assert after == {at: row for at, row in every.items() if at[1] == 11}
    control = [*changed, ("x", 10, "2013-03-10 05:00", 11, 1e6)]
    assert _by_key(seen(control, 11).trailing(by=["key"], **_every()))["x", 11]["most"] == 1e6


def test_the_latest_row_is_the_newest_that_was_known_and_the_same_one_every_time(view: PointInTime) -> None:
    latest = view.latest(["value", "event_time"], by=["key"]).collect()
    assert sorted((row["key"], row["ds"].day, row["value"]) for row in latest) == [
        ("x", 9, 1.0),
        ("x", 10, 2.0),
        ("x", 11, None),  # the newest row has no value
        ("x", 12, 16.0),
        ("y", 11, 5.0),  # of two at the same instant the greater
        ("y", 12, 5.0),
        ("z", 9, 7.0),
    ]


def test_a_group_that_is_not_declared_is_refused_by_name(view: PointInTime) -> None:
    with pytest.raises(KeyError, match=r"'weather' is not declared under reads: .* declared: readings"):
        Reads({"readings": view})["weather"]


@pytest.fixture(scope="module")
def moments(spark: SparkSession) -> DataFrame:
    """Rows of the 11th and 12th that ask what was known when they happened."""
    asked = [("x", 11, "11 06:00"), ("x", 11, "11 00:00"), ("x", 12, "12 06:00"), ("q", 11, "11 06:00")]
    rows = [(key, day(ds), dt.datetime.fromisoformat(f"2013-03-{at}")) for key, ds, at in asked]
    made = spark.createDataFrame([*rows, rows[0]], "key string, ds date, event_time timestamp_ntz")
    return made.withColumn("event_time", F.col("event_time").cast("timestamp"))


def _as_of(view: PointInTime, moments: DataFrame) -> list[tuple[Any, ...]]:
    found = view.as_of(moments, ["value"], by=["key"])
    told = found.select("key", "ds", F.date_format("event_time", "dd HH:mm").alias("at"), "value").collect()
    return sorted((row["key"], row["ds"].day, row["at"], row["value"]) for row in told)


def test_as_of_an_event_the_newest_record_known_by_then_counts(view: PointInTime, moments: DataFrame) -> None:
    assert _as_of(view, moments) == [
        ("x", 11, "11 00:00", None),  # that of 03:30 on the 10th, without a value
        ("x", 11, "11 06:00", None),
        ("x", 12, "12 06:00", 16.0),
    ]


def test_as_of_an_event_nothing_later_counts_even_where_the_cut_off_would_let_it(
    seen: Callable[..., PointInTime], spark: SparkSession
) -> None:
    """A group that runs two days late sees more at its cut-off than was known when its rows happened."""
    published = seen(
        [
            ("x", 9, "2013-03-09 05:00", 10, 1.0),
            ("x", 9, "2013-03-09 07:00", 12, 2.0),  # became known after the event
            ("x", 10, "2013-03-10 12:00", 10, 3.0),  # known beforehand, and not over yet
        ],
        11,
    )
    days = spark.createDataFrame([(day(11), day(13))], "ds date, cutoff date")
    late = PointInTime(published.rows, days, published.lag)
    event = spark.createDataFrame(
        [("x", day(11), dt.datetime.fromisoformat("2013-03-10 14:00+00:00"))],
        "key string, ds date, event_time timestamp",
    )
    [row] = late.as_of(event, ["value"], by=["key"]).collect()
    assert row["value"] == 1.0
    assert [row["value"] for row in late.latest(["value"], by=["key"]).collect()] == [3.0], "at the cut-off it is known"

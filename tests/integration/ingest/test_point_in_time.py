"""A feature of a day does not change when a record that was known only after its cut-off does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from include.mlops.features import PointInTime, Reads
from tests.integration.ingest.bundle import Bundle, change, day, local, plans, readings

pytestmark = pytest.mark.slow
TARGET = day(12)  # reads the days 8 to 10; clocks went forward on the 10th


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    """Readings of eight days and the plans of TARGET, published."""
    made = new_bundle()
    made.write_readings(limit=0.9)
    made.write_plans(limit=0.9)
    for ds in (day(number) for number in range(6, 15)):
        made.land(made.readings, ds, readings(ds))
    made.land(made.plans, TARGET, plans(TARGET))
    made.run(made.readings, day(6), day(14))
    made.run(made.plans, TARGET)
    return made


def _again(bundle: Bundle) -> list[dict[str, Any]]:
    bundle.run(bundle.readings, day(6), day(14), "again")
    bundle.run(bundle.plans, TARGET, run_id="again")
    return bundle.rows(bundle.plans, TARGET)


def test_features_are_what_the_window_gives_by_hand(bundle: Bundle) -> None:
    rows = bundle.rows(bundle.plans, TARGET)
    window = [row for number in (8, 9, 10) for row in readings(day(number))]
    assert [row["sensor"] for row in rows] == ["a", "a", "b", "b", "c", "c"]
    for row in rows:
        mine = [reading for reading in window if reading["sensor"] == row["sensor"]]
        assert row["mean_value"] == pytest.approx(sum(reading["value"] for reading in mine) / 6)
        assert (row["last_value"], row["last_note"]) == (mine[-1]["value"], mine[-1]["note"])


def test_nothing_that_was_known_after_the_cut_off_changes_a_feature(bundle: Bundle) -> None:
    """Two things at once: what the read group landed late or later, and what landed late in the group's own file."""
    before = bundle.rows(bundle.plans, TARGET)
    late = {"value": 1e6, "note": "leak"}
    in_window = readings(day(10))  # its cut-off is the midnight of TARGET, to the second
    extra = {**in_window[0], **late, "slot": 7, "at": local(day(10), 23), "known_at": local(TARGET, 0, 0, 1)}
    twin = {**in_window[1], **late, "known_at": local(TARGET, 0, 0, 1)}
    bundle.land(bundle.readings, day(10), [*in_window, extra, twin])
    for number in (11, 12, 13, 14):  # days after the window: of the day before TARGET, of TARGET itself, and later
        bundle.land(bundle.readings, day(number), [{**row, **late} for row in readings(day(number))])
    own = plans(TARGET)
    correction = {**own[0], "value": -1.0, "known_at": local(TARGET, 0, 0, 1)}
    addition = {**own[0], "slot": 9, "known_at": local(TARGET, 8)}
    bundle.land(bundle.plans, TARGET, [*own, correction, addition])
    assert _again(bundle) == before
    assert {row["value"] for row in bundle.rows(bundle.readings, day(11))} == {1e6}, "the changes were published"


def test_a_record_known_at_the_cut_off_itself_changes_the_features(bundle: Bundle) -> None:
    """The control: the same change, a second earlier, inside the window."""
    before = bundle.rows(bundle.plans, TARGET)
    changed = change(readings(day(10)), 1, value=1e6, note="in time", known_at=local(TARGET, 0, 0, 0))
    bundle.land(bundle.readings, day(10), changed)
    after = _again(bundle)
    mine = [row for row in after if row["sensor"] == "a"]
    assert {(row["last_value"], row["last_note"]) for row in mine} == {(1e6, "in time")}
    assert all(row["mean_value"] > 1e5 for row in mine)
    assert [row for row in after if row["sensor"] != "a"] == [row for row in before if row["sensor"] != "a"]


@pytest.fixture(scope="module")
def view(spark: SparkSession) -> PointInTime:
    """Nine rows around the day on which clocks went forward, seen from the 9th, 10th, 11th and 12th, lag [-2d, -1d]."""
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    rows = [
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
    schema = "key string, ds date, event_time timestamp_ntz, available_at timestamp_ntz, known_from date, value double"
    published = spark.createDataFrame(made, schema)
    for name in ("event_time", "available_at"):
        published = published.withColumn(name, F.col(name).cast("timestamp"))
    seen_from = spark.createDataFrame([(day(n), day(n)) for n in (9, 10, 11, 12)], "ds date, cutoff date")
    return PointInTime(published, seen_from, (-2, -1))


def test_a_trailing_mean_takes_known_values_of_the_lag_alone(view: PointInTime) -> None:
    means = view.trailing_mean(F.col("value"), by=["key"], name="mean").collect()
    assert sorted((row["key"], row["ds"].day, row["mean"]) for row in means) == [
        ("x", 9, 1.0),  # the 8th; the 7th has none
        ("x", 10, 1.5),  # 1 and 2: the third row is known from the 11th on only
        ("x", 11, (2.0 + 40.0 + 8.0) / 3),  # the null does not count
        ("x", 12, (8.0 + 16.0) / 2),
        ("y", 11, 4.0),
        ("y", 12, 4.0),
        ("z", 9, 7.0),
    ]


def test_a_trailing_mean_of_a_condition_is_its_share(view: PointInTime) -> None:
    shares = view.trailing_mean(F.col("value") > 2, by=[], name="share").collect()
    assert sorted((row["ds"].day, row["share"]) for row in shares) == [(9, 0.5), (10, 0.0), (11, 0.8), (12, 1.0)]


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

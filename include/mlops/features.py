"""What a `transform.py` calls: point-in-time views of other groups.

For each partition `ds` a view holds only records of the declared lag that were known at the cut-off of `ds`. So a
feature made from it cannot change when a later record does.

    outcomes = reads["flight_outcomes"]
    outcomes.trailing(by=["carrier"], over=(-8, -2), flights_7d=count(), late_7d=share(F.col("arr_delay") > 15))
    outcomes.latest(["arr_delay"], by=["carrier"])
    outcomes.as_of(flights, ["arr_delay"], by=["carrier"])

Each gives a table with one row for each day and key, to be joined to the group's own rows from the left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame  # noqa: TID253 - only transforms and the step that runs them come here
from pyspark.sql import functions as F  # noqa: TID253


@dataclass(frozen=True)
class Aggregation:
    """`daily`: columns that sum up the rows of one day; `whole`: the result, from the days in their order.

    `whole` gets an array of structs, one a day, of those columns by name and `_ds`. As days are put together in their
    order, a result is the same to its last bit however many partitions are computed at once.
    """

    daily: Mapping[str, Column]
    whole: Callable[[Column], Column]


def mean(value: Column) -> Aggregation:
    """Mean of the values that are not null; null where there are none."""
    number = value.cast("double")
    return Aggregation({"sum": F.sum(number), "count": F.count(number)}, lambda days: _ratio(days, "sum", "count"))


def share(condition: Column) -> Aggregation:
    """Where the condition is not null, the share of rows for which it is true; null where there are no such rows."""
    return mean(condition.cast("boolean").cast("int"))


def total(value: Column) -> Aggregation:
    """Sum of the values that are not null; null where there are none."""
    number = value.cast("double")
    parts = {"sum": F.sum(number), "count": F.count(number)}
    return Aggregation(parts, lambda days: F.when(_sum(days, "count") > 0, _sum(days, "sum")))


def count(value: Column | None = None) -> Aggregation:
    """Rows, or those where the value is not null."""
    return Aggregation({"count": F.count(F.lit(1) if value is None else value)}, lambda days: _sum(days, "count"))


def distinct(value: Column) -> Aggregation:
    """How many different values there are, null not among them."""
    return Aggregation(
        {"values": F.collect_set(value)},
        lambda days: F.size(F.array_distinct(F.flatten(F.transform(days, lambda day: day["values"])))),
    )


def minimum(value: Column) -> Aggregation:
    """The least value; null where there are none."""
    return Aggregation({"least": F.min(value)}, lambda days: F.array_min(F.transform(days, lambda day: day["least"])))


def maximum(value: Column) -> Aggregation:
    """The greatest value; null where there are none."""
    return Aggregation({"most": F.max(value)}, lambda days: F.array_max(F.transform(days, lambda day: day["most"])))


def standard_deviation(value: Column) -> Aggregation:
    """Of a sample (n - 1); null where there are fewer than two values.

    Days are put together as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances" (1979): sums of squares would lose the digits of values that are large against their spread.
    """
    number = value.cast("double")
    parts = {"count": F.count(number), "mean": F.avg(number), "squares": F.var_pop(number) * F.count(number)}
    start = F.struct(*(F.lit(0.0).alias(name) for name in ("count", "mean", "squares")))

    def with_day(so_far: Column, day: Column) -> Column:
        counted = so_far["count"] + day["count"]
        apart = day["mean"] - so_far["mean"]
        together = F.struct(
            counted.alias("count"),
            (so_far["mean"] + apart * day["count"] / counted).alias("mean"),
            (so_far["squares"] + day["squares"] + apart * apart * so_far["count"] * day["count"] / counted).alias(
                "squares"
            ),
        )
        return F.when(day["count"] > 0, together).otherwise(so_far)

    def result(found: Column) -> Column:
        return F.when(found["count"] > 1, F.sqrt(found["squares"] / (found["count"] - 1)))

    return Aggregation(parts, lambda days: F.aggregate(days, start, with_day, result))


def days_since(condition: Column) -> Aggregation:
    """Days from the last partition with a row for which the condition is true to `ds`; null where there is none."""
    last = F.max(F.when(condition, F.lit(1)))
    return Aggregation(
        {"seen": last},
        lambda days: F.date_diff(
            F.col("ds"), F.array_max(F.transform(days, lambda day: F.when(day["seen"] == 1, day["_ds"])))
        ),
    )


@dataclass(frozen=True)
class PointInTime:
    """Published rows of one group, seen from each of `days` (columns ds, cutoff).

    A row counts for a day where its own ds lies within `lag` days of it and its `known_from` is not after the cut-off.
    """

    rows: DataFrame
    days: DataFrame
    lag: tuple[int, int]

    def trailing(self, *, by: Sequence[str], over: tuple[int, int] | None = None, **features: Aggregation) -> DataFrame:
        """Each feature over the lag, or over its part `over`, for each day and key: columns ds, *by, *features.

        A key without rows there has no row here. Raises ValueError for days that the lag does not hold.
        """
        window = self.lag if over is None else over
        if not self.lag[0] <= window[0] <= window[1] <= self.lag[1]:
            raise ValueError(f"expected days within the declared lag of {list(self.lag)}, found over={list(window)}")
        parts = {
            f"{name}_{part}": column for name, feature in features.items() for part, column in feature.daily.items()
        }
        daily = self.rows.groupBy(*by, "ds", "known_from").agg(*(c.alias(f"_{name}") for name, c in parts.items()))
        day = F.struct("_ds", "known_from", *(f"_{name}" for name in parts))
        seen = self._seen(daily, window).groupBy("ds", *by).agg(F.array_sort(F.collect_list(day)).alias("_days"))
        return seen.select("ds", *by, *(_over(feature, name).alias(name) for name, feature in features.items()))

    def latest(self, columns: Sequence[str], *, by: Sequence[str]) -> DataFrame:
        """The newest row by event time for each day and key: columns ds, *by, *columns.

        Of rows with the same event time the one that became known last counts, then the one with the greatest values.
        """
        return _newest(self._seen(self.rows, self.lag), columns, ["ds", *by])

    def as_of(self, rows: DataFrame, columns: Sequence[str], *, by: Sequence[str]) -> DataFrame:
        """What was known when each of `rows` happened: columns ds, *by, event_time, *columns.

        Of the records with the same `by`, the newest by event time whose event_time and available_at are not after the
        row's event_time; they were known at the row's cut-off too, and lie within the lag.
        """
        moments = rows.select("ds", *by, F.col("event_time").alias("_moment")).distinct()
        known = self._seen(self.rows, self.lag).join(moments, ["ds", *by])
        in_time = known.where((F.col("event_time") <= F.col("_moment")) & (F.col("available_at") <= F.col("_moment")))
        return _newest(in_time, columns, ["ds", *by, "_moment"]).withColumnRenamed("_moment", "event_time")

    def _seen(self, rows: DataFrame, window: tuple[int, int]) -> DataFrame:
        days = F.broadcast(self.days).alias("day")
        history = rows.withColumnRenamed("ds", "_ds").alias("history")
        near = (F.col("_ds") >= F.date_add("ds", window[0])) & (F.col("_ds") <= F.date_add("ds", window[1]))
        return history.join(days, near & (F.col("known_from") <= F.col("cutoff")))


class Reads(Mapping[str, PointInTime]):
    """The groups that a feature group declares under `reads`, by name."""

    def __init__(self, views: Mapping[str, PointInTime]) -> None:
        self._views = dict(views)

    def __getitem__(self, name: str) -> PointInTime:
        if name not in self._views:
            declared = ", ".join(sorted(self._views)) or "none"
            raise KeyError(f"'{name}' is not declared under reads: in feature_group.yaml; declared: {declared}")
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)


def _over(feature: Aggregation, name: str) -> Column:
    """The feature, from the days that hold its parts under its name."""

    def own(day: Column) -> Column:
        return F.struct(day["_ds"].alias("_ds"), *(day[f"_{name}_{part}"].alias(part) for part in feature.daily))

    return feature.whole(F.transform("_days", own))


def _sum(days: Column, part: str) -> Column:
    """The sum of that part over the days, in their order; a day without values does not count."""
    zero = F.lit(0).cast("long") if part == "count" else F.lit(0.0)
    return F.aggregate(days, zero, lambda so_far, day: so_far + F.coalesce(day[part], zero))


def _ratio(days: Column, part: str, whole: str) -> Column:
    return F.when(_sum(days, whole) > 0, _sum(days, part) / _sum(days, whole))


def _newest(rows: DataFrame, columns: Sequence[str], keys: Sequence[str]) -> DataFrame:
    values = [F.col(column).alias(f"_{number}") for number, column in enumerate(columns)]
    row = F.struct(F.col("event_time").alias("_event"), F.col("available_at").alias("_available"), *values)
    newest = rows.groupBy(*keys).agg(F.max(row).alias("_row"))
    chosen = (F.col(f"_row._{number}").alias(column) for number, column in enumerate(columns))
    return newest.select(*keys, *chosen)

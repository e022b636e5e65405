"""What a `transform.py` calls: point-in-time views of other groups.

For each partition `ds` a view holds only records of the declared lag that were known at the cut-off of `ds`. So a
feature made from it cannot change when a later record does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame  # noqa: TID253 - only transforms and the step that runs them come here
from pyspark.sql import functions as F  # noqa: TID253


@dataclass(frozen=True)
class PointInTime:
    """Published rows of one group, seen from each of `days` (columns ds, cutoff).

    A row counts for a day where its own ds lies within `lag` days of it and its `known_from` is not after the cut-off.
    """

    rows: DataFrame
    days: DataFrame
    lag: tuple[int, int]

    def trailing_mean(self, value: Column, *, by: Sequence[str], name: str) -> DataFrame:
        """Mean of `value` over the lag for each day and key: columns ds, *by, name.

        Nulls do not count; booleans are 0 and 1. Sums of days are added in the order of the days, so that a mean is the
        same to its last bit however many days are computed at once.
        """
        daily = (
            self.rows.withColumn("_value", value.cast("double"))
            .where("_value is not null")
            .groupBy(*by, "ds", "known_from")
            .agg(F.sum("_value").alias("_sum"), F.count("_value").alias("_count"))
        )
        sums = F.array_sort(F.collect_list(F.struct("_ds", "known_from", "_sum")))
        total = F.aggregate(sums, F.lit(0.0), lambda so_far, day: so_far + day["_sum"])
        return self._seen(daily).groupBy("ds", *by).agg((total / F.sum("_count")).alias(name))

    def latest(self, columns: Sequence[str], *, by: Sequence[str]) -> DataFrame:
        """The newest row by event time for each day and key: columns ds, *by, *columns.

        Of rows with the same event time the one that became known last counts, then the one with the greatest values.
        """
        values = [F.col(column).alias(f"_{number}") for number, column in enumerate(columns)]
        row = F.struct(F.col("event_time").alias("_event"), F.col("available_at").alias("_available"), *values)
        newest = self._seen(self.rows).groupBy("ds", *by).agg(F.max(row).alias("_row"))
        chosen = (F.col(f"_row._{number}").alias(column) for number, column in enumerate(columns))
        return newest.select("ds", *by, *chosen)

    def _seen(self, rows: DataFrame) -> DataFrame:
        first, last = self.lag
        days = F.broadcast(self.days).alias("day")
        history = rows.withColumnRenamed("ds", "_ds").alias("history")
        near = (F.col("_ds") >= F.date_add("ds", first)) & (F.col("_ds") <= F.date_add("ds", last))
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

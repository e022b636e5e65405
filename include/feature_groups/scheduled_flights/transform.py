"""The schedule of a day, with trailing delay rates and the last weather known at its midnight."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.features import Reads

LATE = F.col("arr_delay") > 15


def transform(flights: DataFrame, reads: Reads) -> DataFrame:
    outcomes, weather = reads["flight_outcomes"], reads["airport_weather"]
    scheduled = flights.withColumns({"sched_dep_hour": F.hour("sched_dep_at"), "weekday": F.weekday("ds")})
    return (
        scheduled.join(
            outcomes.trailing_mean(LATE, by=["carrier"], name="carrier_delay_28d"), ["ds", "carrier"], "left"
        )
        .join(
            outcomes.trailing_mean(LATE, by=["origin", "dest"], name="route_delay_28d"),
            ["ds", "origin", "dest"],
            "left",
        )
        .join(
            outcomes.trailing_mean(LATE, by=["origin", "sched_dep_hour"], name="origin_hour_delay_28d"),
            ["ds", "origin", "sched_dep_hour"],
            "left",
        )
        .join(weather.latest(["wind_speed", "visibility"], by=["origin"]), ["ds", "origin"], "left")
    )

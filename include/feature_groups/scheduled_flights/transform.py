"""The schedule of a day, with trailing delay rates and the last weather known at its midnight."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.features import Reads, share

LATE = share(F.col("arr_delay") > 15)
ROUTE, HOUR = ["origin", "dest"], ["origin", "sched_dep_hour"]


def transform(flights: DataFrame, reads: Reads) -> DataFrame:
    outcomes, weather = reads["flight_outcomes"], reads["airport_weather"]
    scheduled = flights.withColumns({"sched_dep_hour": F.hour("sched_dep_at"), "weekday": F.weekday("ds")})
    return (
        scheduled.join(outcomes.trailing(by=["carrier"], carrier_delay_28d=LATE), ["ds", "carrier"], "left")
        .join(outcomes.trailing(by=ROUTE, route_delay_28d=LATE), ["ds", *ROUTE], "left")
        .join(outcomes.trailing(by=HOUR, origin_hour_delay_28d=LATE), ["ds", *HOUR], "left")
        .join(weather.latest(["wind_speed", "visibility"], by=["origin"]), ["ds", "origin"], "left")
    )

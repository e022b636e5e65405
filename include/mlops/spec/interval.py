"""Partition dates and intervals of them: the unit of work of every step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = re.compile(r"^(-?[0-9]{1,18})d$")


def parse_days(text: str) -> int:
    """`"28d"` -> 28, `"-2d"` -> -2. Raises ValueError on anything else."""
    found = DAYS.match(text.strip())
    if not found:
        raise ValueError(f"expected a number of days such as '7d', found '{text}'")
    return int(found.group(1))


def due(ds: date, delay: int, zone: str) -> datetime:
    """When a partition is due (UTC): the midnight of its time zone `delay` days after its own."""
    return datetime.combine(ds + timedelta(days=delay), time(), ZoneInfo(zone)).astimezone(UTC)


@dataclass(frozen=True, order=True)
class Interval:
    """Days `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"an interval goes forward in time, found {self.first} to {self.last}")

    @classmethod
    def day(cls, ds: date | str) -> Interval:
        day = date.fromisoformat(ds) if isinstance(ds, str) else ds
        return cls(day, day)

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, ds: object) -> bool:
        return isinstance(ds, date) and self.first <= ds <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"

    def lagged(self, lag: tuple[int, int]) -> Interval:
        """All days that any day of this interval reads over `lag` (days, such as (-29, -2))."""
        return Interval(self.first + timedelta(days=lag[0]), self.last + timedelta(days=lag[1]))

    def from_(self, first: date) -> Interval | None:
        """The part that is not before `first`."""
        return Interval(max(self.first, first), self.last) if self.last >= first else None

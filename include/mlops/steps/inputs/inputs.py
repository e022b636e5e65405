"""What a partition is made from: its landed file and the published partitions that it reads, told apart by content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.ledger.publications import Publication
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform


@dataclass(frozen=True)
class Read:
    """The published partitions of one group that some interval of `reader` reads."""

    reader: FeatureGroup
    other: FeatureGroup
    published: Mapping[date, Publication]

    def days(self, ds: date) -> list[date]:
        """The partitions that the reader's `ds` reads, published or not."""
        return list(self.reader.needs(Interval.day(ds), self.other) or ())

    def recorded(self, ds: date, snapshot_id: int | None) -> dict[str, Any]:
        """As the ledger keeps it for the reader's partition `ds`: equal whatever interval it was computed in."""
        days = self.days(ds)
        found: dict[str, Any] = {
            "snapshot_id": snapshot_id,
            "lag": list(self.reader.reads[self.other.name]),
            "partitions": {str(day): self.published[day].digest for day in days if day in self.published},
        }
        missing = [str(day) for day in days if day not in self.published]
        return {**found, "missing": missing} if missing else found


def reads_of(platform: Platform, group: FeatureGroup, interval: Interval) -> list[Read]:
    """One for each group that `group` reads. One query each, however long the interval."""
    found = []
    for name in group.reads:
        other = platform.specs.group(name)
        needed = group.needs(interval, other)
        found.append(Read(group, other, platform.ledger.publications.over(other.table, needed) if needed else {}))
    return found

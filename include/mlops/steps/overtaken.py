"""Two runs of the same days at once: what the slower one may still show, and record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform


def replaced_since(platform: Platform, table: str, days: Collection[date], snapshot_id: int) -> set[date]:
    """Days whose record tells of a later commit already: a task that comes back late must not cover it."""
    known = platform.ledger.publications.over(table, Interval(min(days), max(days)))
    return {
        ds
        for ds, publication in known.items()
        if ds in days and publication.snapshot_id and platform.lake.follows(table, publication.snapshot_id, snapshot_id)
    }


def made_from_newer(platform: Platform, table: str, read: Mapping[date, tuple[str, int | None]]) -> set[date]:
    """Days that somebody made meanwhile from a later snapshot of what we `read` of them (a table, and its snapshot)."""
    known = platform.ledger.publications.over(table, Interval(min(read), max(read)))
    found: set[date] = set()
    for ds, (source, snapshot) in read.items():
        theirs = known[ds].inputs.get(source, {}).get("snapshot_id") if ds in known else None
        if theirs and snapshot and platform.lake.follows(source, theirs, snapshot):
            found.add(ds)
    return found

"""Two runs of the same days at once: what the slower one may still show, and record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, partial

from include.mlops.ledger.publications import Publication
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform


def record_newest(platform: Platform, table: str, made: Iterable[Publication]) -> set[date]:
    """Record what was committed to `table`. A day whose record tells of a later commit already keeps that: a task that
    comes back late must not cover it. Returns the days recorded.
    """
    follows = cache(partial(platform.lake.follows, table))

    def replaced(known: Publication, new: Publication) -> bool:
        return bool(known.snapshot_id and new.snapshot_id and follows(known.snapshot_id, new.snapshot_id))

    return platform.ledger.publications.record(made, replaced=replaced)


def made_from_newer(platform: Platform, table: str, read: Mapping[date, tuple[str, int | None]]) -> set[date]:
    """Days that somebody made meanwhile from a later snapshot of what we `read` of them (a table, and its snapshot)."""
    known = platform.ledger.publications.over(table, Interval(min(read), max(read)))
    found: set[date] = set()
    for ds, (source, snapshot) in read.items():
        theirs = known[ds].inputs.get(source, {}).get("snapshot_id") if ds in known else None
        if theirs and snapshot and platform.lake.follows(source, theirs, snapshot):
            found.add(ds)
    return found

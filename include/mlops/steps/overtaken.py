"""Two runs of the same days at once: what the slower one may still show, and record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from typing import NamedTuple

from include.mlops.ledger.publications import Publication
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform


def record_newest(platform: Platform, table: str, made: Iterable[Publication]) -> set[date]:
    """Record what was committed to `table`. A day whose record tells of a later commit already keeps that: a task that
    comes back late must not cover it. Returns the days recorded.
    """
    order = cache(lambda: platform.lake.order(table))  # asked once, and after the record is held

    def replaced(known: Publication, new: Publication) -> bool:
        return _later(order(), known.snapshot_id, new.snapshot_id)

    return platform.ledger.publications.record(made, replaced=replaced)


class Read(NamedTuple):
    """What a day was made from: a table at a snapshot, and the digest of its rows of that day."""

    source: str
    snapshot: int | None
    digest: str | None


def made_from_newer(platform: Platform, table: str, read: Mapping[date, Read]) -> set[date]:
    """Days that somebody made meanwhile from other rows than ours, of a later snapshot."""
    known = platform.ledger.publications.over(table, Interval(min(read), max(read)))
    order = cache(platform.lake.order)
    found: set[date] = set()
    for ds, ours in read.items():
        theirs = known[ds].inputs.get(ours.source, {}) if ds in known else {}
        same = theirs.get("partitions", {}).get(str(ds)) == ours.digest
        if theirs and not same and _later(order(ours.source), theirs["snapshot_id"], ours.snapshot):
            found.add(ds)
    return found


def _later(order: Mapping[int, int], one: int | None, other: int | None) -> bool:
    """Whether the commit of a snapshot came after another's; False where one of them is not kept any more."""
    if one is None or other is None:
        return False
    return one in order and other in order and order[one] > order[other]

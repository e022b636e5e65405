"""The ledger after an erasure: partitions bear the digest of the rows that are left, and so do those made of them.

So nothing looks out of date that was not before, and a day can be scored again: its rows are counted as they are now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from include.mlops.lake.digest import Digest
from include.mlops.ledger.publications import Publication
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring.predictions import EACH_TIME

Moved = Mapping[tuple[str, date], tuple[str, str]]
"""{(table, ds): (digest before, digest now)}"""


def publish_without(platform: Platform, days: Mapping[str, Collection[date]]) -> None:
    """Record the partitions of `days` as they are now, and in the same transaction what names them as inputs."""
    record = platform.ledger.publications
    now: dict[tuple[str, date], Publication] = {}
    moved: dict[tuple[str, date], tuple[str, str]] = {}
    for table, erased in days.items():
        if not erased:
            continue
        published = record.over(table, Interval(min(erased), max(erased)))
        for ds in sorted(set(erased) & set(published)):
            before = published[ds]
            after = _as_it_is(platform, before)
            if after.digest != before.digest or after.rows != before.rows:
                now[table, ds] = after
                if before.digest and after.digest:
                    moved[table, ds] = before.digest, after.digest
    for dataset in record.datasets():
        extent = record.extent(dataset)
        for ds, one in (record.over(dataset, extent) if extent else {}).items():
            inputs = {table: _renamed(table, told, moved) for table, told in one.inputs.items()}
            if inputs != one.inputs:
                now[dataset, ds] = replace(now.get((dataset, ds), one), inputs=inputs)
    record.record(now.values())


def _as_it_is(platform: Platform, one: Publication) -> Publication:
    found = Digest(EACH_TIME if one.dataset.startswith("predictions.") else ())
    rows = sum(b.num_rows for b in found.watch(platform.lake.batches(one.dataset, Interval.day(one.ds))))
    digest = found.text() if one.digest else None
    return replace(one, rows=rows, digest=digest, snapshot_id=platform.lake.snapshot(one.dataset))


def _renamed(table: str, told: Any, moved: Moved) -> Any:
    if not (isinstance(told, dict) and told.get("partitions")):
        return told
    partitions = {
        ds: _now(moved.get((table, date.fromisoformat(ds))), digest) for ds, digest in told["partitions"].items()
    }
    return {**told, "partitions": partitions}


def _now(pair: tuple[str, str] | None, digest: str | None) -> str | None:
    """What was read stays out of date where other rows had been published before the erasure."""
    return pair[1] if pair and pair[0] == digest else digest

"""Publish: the partitions that passed become visible in one commit, and the ledger records what they were made from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from include.mlops.errors import PartitionsFailed
from include.mlops.lake import staging
from include.mlops.ledger.publications import Publication
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.ingest import Ingested, ingest, require_meaning
from include.mlops.steps.ingestion.validate import Validated, validate
from include.mlops.steps.inputs.dependents import stale_dependents
from include.mlops.steps.inputs.incomplete import tell_incomplete
from include.mlops.steps.overtaken import record_newest
from include.mlops.steps.platform import Platform
from include.mlops.steps.spark_failures import spark_failures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """Rows by published day."""

    group: str
    rows: dict[date, int]
    quarantined: dict[date, int]
    snapshot_id: int | None


def publish(platform: Platform, group: FeatureGroup, ingested: Ingested, validated: Validated) -> Published:
    """Publish the days that passed. Raises PartitionsFailed afterwards where some did not.

    Raises MeaningChanged, with nothing published, where another meaning was declared since the rows were staged.
    """
    rows: dict[date, int] = {}
    snapshot_id = None
    if validated.passed and ingested.staged:
        if not ingested.restated:
            require_meaning(platform, group, ingested.meaning)
        with spark_failures(f"publishing {group.name}", "run the partition again"):
            snapshot_id = staging.publish(platform.lake, platform.spark, ingested.staged, validated.passed)
        rows = {ds: ingested.rows()[ds] for ds in validated.passed}
        _record(platform, group, ingested, rows, validated.digests, snapshot_id)
        tell_incomplete(platform, group, max(rows), ingested.inputs[max(rows)])
        log.info("published %s: %d day(s), %d rows", group.table, len(rows), sum(rows.values()))
        for one in stale_dependents(platform, group, Interval(min(rows), max(rows))):
            log.warning("%s", one.line())
    if validated.failures:
        raise PartitionsFailed(f"publish {group.name}", validated.failures)
    return Published(group.name, rows, ingested.quarantined, snapshot_id)


def ingest_interval(
    platform: Platform,
    group: FeatureGroup,
    interval: Interval,
    run_id: str,
    *,
    restated: str = "",
    overdue: bool = False,
) -> Published:
    """Ingest, validate and publish: the whole chain of a feature group over an interval.

    `restated` says why rows may be published under the same version although their meaning changed; the new meaning is
    declared once some of them are visible, so a restatement that fails leaves the old one in force. `overdue`: see
    `ingest`.
    """
    ingested = ingest(platform, group, interval, run_id, restated=restated, overdue=overdue)
    return publish(platform, group, ingested, validate(platform, group, ingested))


def of_another_meaning(platform: Platform, group: FeatureGroup) -> list[date]:
    """Published days of the group's version that other code made: what a restatement of a part leaves behind."""
    record = platform.ledger.publications
    frontier = record.frontier(group.table)
    if frontier is None or frontier < group.first_partition:
        return []
    published = record.over(group.table, Interval(group.first_partition, frontier))
    return sorted(ds for ds, one in published.items() if one.meaning != record.meaning(group.table))


def _record(
    platform: Platform,
    group: FeatureGroup,
    ingested: Ingested,
    rows: dict[date, int],
    digests: Mapping[date, str],
    snapshot_id: int,
) -> None:
    record = platform.ledger.publications
    if ingested.restated or record.meaning(group.table) != ingested.meaning:
        record.declare(group.table, ingested.meaning, ingested.restated or f"published by {ingested.run_id}")
    made = (
        Publication(
            dataset=group.table,
            ds=ds,
            rows=count,
            meaning=ingested.meaning,
            run_id=ingested.run_id,
            snapshot_id=snapshot_id,
            quarantined=ingested.quarantined.get(ds, 0),
            inputs=ingested.inputs[ds],
            digest=digests.get(ds),
        )
        for ds, count in rows.items()
    )
    record_newest(platform, group.table, made)

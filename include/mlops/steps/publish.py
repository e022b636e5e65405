"""Publish: the partitions that passed become visible in one commit, and the ledger records what they were made from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date

from include.mlops.errors import PartitionsFailed
from include.mlops.lake import staging
from include.mlops.ledger.publications import Publication
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingest import Ingested, ingest
from include.mlops.steps.platform import Platform
from include.mlops.steps.validate import Validated, validate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """Rows by published day."""

    group: str
    rows: dict[date, int]
    quarantined: dict[date, int]
    snapshot_id: int | None


def publish(platform: Platform, group: FeatureGroup, ingested: Ingested, validated: Validated) -> Published:
    """Publish the days that passed. Raises PartitionsFailed afterwards where some did not."""
    rows: dict[date, int] = {}
    snapshot_id = None
    if validated.passed and ingested.staged:
        snapshot_id = staging.publish(platform.lake, platform.spark, ingested.staged, validated.passed)
        rows = {ds: ingested.rows()[ds] for ds in validated.passed}
        record = platform.ledger.publications
        if record.meaning(group.table) != ingested.meaning:
            record.declare(group.table, ingested.meaning, f"published by {ingested.run_id}")
        record.record(
            Publication(
                dataset=group.table,
                ds=ds,
                rows=count,
                meaning=ingested.meaning,
                run_id=ingested.run_id,
                snapshot_id=snapshot_id,
                quarantined=ingested.quarantined.get(ds, 0),
                inputs=ingested.inputs,
            )
            for ds, count in rows.items()
        )
        log.info("published %s: %d day(s), %d rows", group.table, len(rows), sum(rows.values()))
    if validated.failures:
        raise PartitionsFailed(f"publish {group.name}", validated.failures)
    return Published(group.name, rows, ingested.quarantined, snapshot_id)


def ingest_interval(platform: Platform, group: FeatureGroup, interval: Interval, run_id: str) -> Published:
    """Ingest, validate and publish: the whole chain of a feature group over an interval."""
    ingested = ingest(platform, group, interval, run_id)
    return publish(platform, group, ingested, validate(platform, group, ingested))

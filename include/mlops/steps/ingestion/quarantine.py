"""Quarantine: unusable rows are set aside as they came, with the reason, until their day is ingested again.

Lake table `quarantine.<group>`: ds, reason, record, file, run_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.errors import QuarantineLimit
from include.mlops.lake.catalog import CATALOG
from include.mlops.lake.lake import Lake
from include.mlops.sources.source import ORIGIN
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.source_rows import REASON, RECORD

COLUMNS = {"ds": "date", "reason": "string", "record": "string", "file": "string", "run_id": "string"}


def set_aside(
    lake: Lake, group: FeatureGroup, rows: DataFrame, days: list[date], run_id: str, *, any_now: bool
) -> None:
    """Replace the quarantine of `days` by those of `rows` that have a reason; `any_now`: whether there are some."""
    table = f"quarantine.{group.name}"
    lake.create(table, COLUMNS)
    if not any_now and not lake.read(table, Interval(min(days), max(days)), ["ds"]).num_rows:
        return
    aside = rows.where(F.col(REASON).isNotNull()).select(
        "ds",
        F.col(REASON).alias("reason"),
        F.col(RECORD).alias("record"),
        F.col(ORIGIN).alias("file"),
        F.lit(run_id).alias("run_id"),
    )
    aside.writeTo(f"{CATALOG}.{table}").overwrite(F.col("ds").isin([F.lit(ds) for ds in days]))


def over_limit(group: FeatureGroup, place: str, total: int, bad: Mapping[str, int]) -> QuarantineLimit | None:
    """Too many rows with a reason (`bad`: how many with which) among `total` that came from `place`."""
    malformed = sum(bad.values())
    if malformed <= group.quarantine.limit * total:
        return None
    most = ", ".join(f"{n} x {reason}" for reason, n in sorted(bad.items(), key=lambda item: -item[1])[:3])
    return QuarantineLimit(
        f"expected at most {group.quarantine.limit:.1%} malformed rows in {place}, found {malformed} of {total} "
        f"({most}); see lake table quarantine.{group.name}, correct the source and run the partition again"
    )

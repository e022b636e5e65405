"""Quarantine: unusable rows are set aside as they landed, with the reason, until their day is ingested again.

Lake table `quarantine.<group>`: ds, reason, record, file, run_id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.errors import MlopsError, QuarantineLimit, UnreadableFile
from include.mlops.lake.lake import CATALOG, Lake
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.landing import address, promised_rows
from include.mlops.steps.platform import Platform
from include.mlops.steps.source_rows import FILE, REASON, RECORD

COLUMNS = {"ds": "date", "reason": "string", "record": "string", "file": "string", "run_id": "string"}


@dataclass(frozen=True)
class SetAside:
    """Rows set aside by day, and what was wrong with each day that cannot be used at all."""

    rows: dict[date, int]
    failures: dict[date, str]


def set_aside(platform: Platform, group: FeatureGroup, rows: DataFrame, days: list[date], run_id: str) -> SetAside:
    """Replace the quarantine of `days` by those of `rows` that have a reason."""
    found: dict[date, Counter[str | None]] = {ds: Counter() for ds in days}
    for row in rows.groupBy("ds", REASON).count().collect():
        if row["ds"] not in found:
            raise MlopsError(
                f"expected rows of {group.source.path} of the days asked for, found {row['count']} of {row['ds']}"
            )
        found[row["ds"]][row[REASON]] = row["count"]
    bad = {ds: Counter({reason: n for reason, n in counts.items() if reason}) for ds, counts in found.items()}
    _replace(platform.lake, group, rows, days, run_id, any_now=any(bad.values()))
    broken = {ds: _broken(platform, group, ds, found[ds].total(), bad[ds]) for ds in days}
    return SetAside({ds: bad[ds].total() for ds in days}, {ds: e.line() for ds, e in broken.items() if e})


def _replace(lake: Lake, group: FeatureGroup, rows: DataFrame, days: list[date], run_id: str, *, any_now: bool) -> None:
    table = f"quarantine.{group.name}"
    lake.create(table, COLUMNS)
    if not any_now and not lake.read(table, Interval(min(days), max(days)), ["ds"]).num_rows:
        return
    aside = rows.where(F.col(REASON).isNotNull()).select(
        "ds",
        F.col(REASON).alias("reason"),
        F.col(RECORD).alias("record"),
        F.col(FILE).alias("file"),
        F.lit(run_id).alias("run_id"),
    )
    aside.writeTo(f"{CATALOG}.{table}").overwrite(F.col("ds").isin([F.lit(ds) for ds in days]))


def _broken(
    platform: Platform, group: FeatureGroup, ds: date, total: int, bad: Mapping[str, int]
) -> UnreadableFile | QuarantineLimit | None:
    url = address(platform.settings, group, ds)
    least = 0 if group.source.empty == "allow" else 1
    promised = promised_rows(url) if group.source.format == "parquet" else least
    if total < promised:
        return UnreadableFile(f"expected {promised} rows or more in {url}, Spark could read {total}; land it again")
    malformed = sum(bad.values())
    if malformed <= group.quarantine.limit * total:
        return None
    most = ", ".join(f"{n} x {reason}" for reason, n in sorted(bad.items(), key=lambda item: -item[1])[:3])
    return QuarantineLimit(
        f"expected at most {group.quarantine.limit:.1%} malformed rows in {url}, found {malformed} of {total} "
        f"({most}); see lake table quarantine.{group.name}, correct the file and run the partition again"
    )

"""Ingest: landed files become a staged snapshot of features; malformed rows go to quarantine.

One Spark job for the whole interval, however many days it has. Nothing is visible to readers yet.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from include.mlops.errors import MeaningChanged, MlopsError, PartitionsFailed, QuarantineLimit, ServiceUnavailable, SpecError
from include.mlops.features import PointInTime, Reads
from include.mlops.lake.lake import CATALOG
from include.mlops.lake.schema import PARTITION_COLUMNS, spark_ddl
from include.mlops.lake.staging import Staged, stage
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import group_meaning
from include.mlops.steps.landing import address, inspect
from include.mlops.steps.platform import Platform
from include.mlops.steps.readiness import require_inputs

if TYPE_CHECKING:
    Transform = Callable[[DataFrame, Reads], DataFrame]

log = logging.getLogger(__name__)
CORRUPT = "_corrupt_record"
QUARANTINE = {"ds": "date", "reason": "string", "record": "string", "file": "string", "run_id": "string"}


@dataclass(frozen=True)
class Ingested:
    """A staged interval. `failures` are partitions that never came so far; nothing of them is staged."""

    group: str
    staged: Staged | None
    quarantined: dict[date, int]
    failures: dict[date, str]
    inputs: dict[str, Any]
    meaning: str
    run_id: str

    def rows(self) -> dict[date, int]:
        return self.staged.rows if self.staged else {}


def ingest(platform: Platform, group: FeatureGroup, interval: Interval, run_id: str) -> Ingested:
    """Stage `interval`. Raises NotReady, MeaningChanged, SpecError; partitions that fail alone are in the result.

    Raises PartitionsFailed where no partition is left.
    """
    meaning = require_meaning(platform, group)
    require_inputs(platform, group, interval)
    failures, good_days = _inspect_files(platform, group, interval)
    quarantined: dict[date, int] = {}
    inputs: dict[str, Any] = {}
    staged = None
    if good_days:
        spark = platform.spark
        spark.conf.set("spark.sql.session.timeZone", group.timezone)
        transform = load_transform(group)  # after the session: a module may use functions such as F.col at its top
        try:
            checked = _checked_rows(spark, platform, group, good_days)
            quarantined, refused = _quarantine(platform, spark, group, checked, good_days, run_id)
            failures |= refused
            good_days = [ds for ds in good_days if ds not in refused]
            if good_days:
                rows = checked.where(F.col("_reason").isNull() & F.col("ds").isin([F.lit(ds) for ds in good_days]))
                reads, inputs = _reads(platform, spark, group, interval)
                features = _published_columns(group, transform(_known_rows(rows, group), reads))
                platform.lake.create(group.table, {**group.publishes, **PARTITION_COLUMNS}, staged=True)
                staged = stage(platform.lake, spark, group.table, features, good_days)
        except PySparkException as error:
            raise _explained(group, interval, error) from error
    if not good_days:
        raise PartitionsFailed(f"ingest {group.name}", failures)
    log.info("staged %s %s: %d rows, %d quarantined", group.name, interval, sum(staged.rows.values() if staged else []), sum(quarantined.values()))
    return Ingested(group.name, staged, quarantined, failures, inputs, meaning, run_id)


def require_meaning(platform: Platform, group: FeatureGroup) -> str:
    """The group's meaning; raises MeaningChanged where it is not the one that its version was published with."""
    meaning, known = group_meaning(group), platform.ledger.publications.meaning(group.table)
    if known not in (None, meaning):
        raise MeaningChanged(
            f"{group.name} version {group.version} was published with another meaning ({known}, now {meaning}): its transform, "
            f"source or columns changed. Raise `version:` to {group.version + 1} in {group.folder}/feature_group.yaml, or, if the "
            f"old rows were wrong, restate them: python -m include.mlops restate {group.name} --from DAY --to DAY"
        )
    return meaning


def load_transform(group: FeatureGroup) -> Transform:
    """The group's `transform` function, from its own folder."""
    path = group.folder / "transform.py"
    spec = importlib.util.spec_from_file_location(f"transform_of_{group.name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SpecError([f"{path}: importing it raised {type(error).__name__}: {error}"]) from error
    function: Transform = module.transform
    return function


def _inspect_files(platform: Platform, group: FeatureGroup, interval: Interval) -> tuple[dict[date, str], list[date]]:
    found = {ds: inspect(group, address(platform.settings, group, ds)) for ds in interval}
    return {ds: error.line() for ds, error in found.items() if error}, [ds for ds, error in found.items() if not error]


def _read_files(spark: SparkSession, platform: Platform, group: FeatureGroup, days: Iterable[date]) -> DataFrame:
    paths = [address(platform.settings, group, ds) for ds in days]
    if group.source.format == "parquet":
        frame = spark.read.parquet(*paths).withColumn(CORRUPT, F.lit(None).cast("string"))
    else:
        schema = f"{spark_ddl(group.source.columns)}, {CORRUPT} string"
        reader = spark.read.schema(schema).option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT)
        frame = reader.option("header", "true").option("nullValue", "NA").csv(paths) if group.source.format == "csv" else reader.json(paths)
    before, after = (re.escape(part) for part in group.source.path.split("{ds}", 1))
    file = F.col("_metadata.file_path")
    return frame.withColumn("_file", file).withColumn("ds", F.to_date(F.regexp_extract("_file", f"{before}(\\d{{4}}-\\d{{2}}-\\d{{2}}){after}", 1)))


def _checked_rows(spark: SparkSession, platform: Platform, group: FeatureGroup, days: Iterable[date]) -> DataFrame:
    """Source rows with `ds`, the system columns, and `_reason`: null, or why the row cannot be used."""
    rows = _read_files(spark, platform, group, days)
    cutoff = F.date_add("ds", group.schedule.delay)
    known_from = F.to_date(F.col(group.available_at) + F.expr("INTERVAL 1 DAY") - F.expr("INTERVAL 1 MICROSECOND"))
    texts = [name for name, kind in group.source.columns.items() if kind == "string"]
    nulls = [F.when(F.col(key).isNull(), F.concat(F.lit(f"no {key}"))) for key in dict.fromkeys([*group.keys, group.event_time, group.available_at]) if key in group.source.columns]
    garbled = reduce(lambda a, b: a | b, (F.coalesce(F.col(c).contains("\ufffd"), F.lit(False)) for c in texts), F.lit(False))
    twice = F.count(F.lit(1)).over(Window.partitionBy("ds", *(k for k in group.keys if k in group.source.columns))) > 1
    reasons: list[Column] = [
        F.when(F.col(CORRUPT).isNotNull(), F.lit("malformed")),
        F.when(garbled, F.lit("not UTF-8")),
        *nulls,
        F.when(F.to_date(group.event_time) != F.col("ds"), F.lit(f"{group.event_time} outside the partition's day")),
        F.when(F.col(group.available_at).cast("timestamp") > cutoff.cast("timestamp"), F.lit("known only after the cut-off")),
        F.when(twice, F.lit("duplicate key")),
    ]
    return rows.withColumns({"_reason": F.coalesce(*reasons), "_known_from": known_from})


def _quarantine(
    platform: Platform, spark: SparkSession, group: FeatureGroup, rows: DataFrame, days: list[date], run_id: str
) -> tuple[dict[date, int], dict[date, str]]:
    """Set malformed rows aside. Returns their number by day, and the days that exceed the limit."""
    table = f"quarantine.{group.name}"
    counts = rows.groupBy("ds", "_reason").count().collect()
    bad = {ds: {r["_reason"]: r["count"] for r in counts if r["ds"] == ds and r["_reason"]} for ds in days}
    total = {ds: sum(r["count"] for r in counts if r["ds"] == ds) for ds in days}
    platform.lake.create(table, QUARANTINE)
    if any(bad.values()) or platform.ledger.publications.over(group.table, Interval(min(days), max(days))):
        record = F.coalesce(F.col(CORRUPT), F.to_json(F.struct(*group.source.columns)))
        aside = rows.where("_reason is not null").select(
            "ds", F.col("_reason").alias("reason"), record.alias("record"), F.col("_file").alias("file"), F.lit(run_id).alias("run_id")
        )
        aside.writeTo(f"{CATALOG}.{table}").overwrite(F.col("ds").isin([F.lit(ds) for ds in days]))
    refused: dict[date, str] = {}
    for ds, reasons in bad.items():
        share = sum(reasons.values()) / max(total[ds], 1)
        if share > group.quarantine.limit:
            most = ", ".join(f"{n} x {reason}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1])[:3])
            refused[ds] = QuarantineLimit(
                f"expected at most {group.quarantine.limit:.1%} malformed rows in {address(platform.settings, group, ds)}, found "
                f"{sum(reasons.values())} of {total[ds]} ({most}); see lake table {table}, correct the file and run the partition again"
            ).line()
    return {ds: sum(reasons.values()) for ds, reasons in bad.items()}, refused


def _known_rows(rows: DataFrame, group: FeatureGroup) -> DataFrame:
    """What transform() gets: source columns, ds, and the system columns."""
    columns = {"event_time": F.col(group.event_time), "available_at": F.col(group.available_at), "known_from": F.col("_known_from")}
    known = rows.withColumns(columns)
    return known.select(*dict.fromkeys([*group.source.columns, *PARTITION_COLUMNS]))


def _reads(platform: Platform, spark: SparkSession, group: FeatureGroup, interval: Interval) -> tuple[Reads, dict[str, Any]]:
    """Point-in-time views of the declared groups, and the snapshots they were read at."""
    days = spark.sql(
        f"SELECT ds, date_add(ds, {group.schedule.delay}) AS cutoff FROM "
        f"(SELECT explode(sequence(date'{interval.first}', date'{interval.last}')) AS ds)"
    )
    views, inputs = {}, {}
    for name, lag in group.reads.items():
        other = platform.specs.group(name)
        needed = group.needs(interval, other)
        platform.lake.create(other.table, {**other.publishes, **PARTITION_COLUMNS}, staged=True)
        snapshot = platform.lake.snapshot(other.table)
        version = f" VERSION AS OF {snapshot}" if snapshot else ""
        rows = spark.sql(f"SELECT * FROM {CATALOG}.{other.table}{version}")
        near = F.col("ds").between(F.lit(needed.first), F.lit(needed.last)) if needed else F.lit(False)
        views[name] = PointInTime(rows.where(near), days, lag)
        inputs[other.table] = {"snapshot_id": snapshot, "days": str(needed)}
    return Reads(views), inputs


def _published_columns(group: FeatureGroup, frame: DataFrame) -> DataFrame:
    """The declared columns in their declared types."""
    wanted = {**group.publishes, **PARTITION_COLUMNS}
    lost = [name for name in wanted if name not in frame.columns]
    if lost:
        raise SpecError(
            [f"{group.folder}/transform.py: expected the columns {', '.join(lost)} in what transform() returns, found {', '.join(frame.columns)}"]
        )
    return frame.select(*(F.col(name).cast({"long": "bigint"}.get(kind, kind)).alias(name) for name, kind in wanted.items()))


def _explained(group: FeatureGroup, interval: Interval, error: PySparkException) -> MlopsError:
    text = str(error).split("\n\nJVM stacktrace")[0][:1500]
    unreachable = any(word in text for word in ("UNAVAILABLE", "Connection refused", "failed to connect"))
    if unreachable:
        return ServiceUnavailable(f"Spark was lost while ingesting {group.name} {interval}: {text}")
    return MlopsError(f"ingest {group.name} {interval} failed in Spark; look at {group.folder}/transform.py: {text}")

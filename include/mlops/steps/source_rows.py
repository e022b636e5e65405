"""Landed rows in their declared types, each with the reason why it cannot be used, where there is one.

Every field is read as text and converted here: Spark's own readers look only for faults in the columns that a query
happens to need, so the same file would have more or fewer malformed rows from one query to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from include.mlops.lake.schema import SPARK_TYPES
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.landing import address, physical_types

CORRUPT = "_corrupt_record"
REASON, RECORD, FILE, KNOWN_FROM = "_reason", "_record", "_file", "_known_from"
_A_DAY_FIRST = r"^\s*\d{4}-"  # Spark takes '12:00' for a time of today


def source_rows(spark: SparkSession, settings: Settings, group: FeatureGroup, days: Iterable[date]) -> DataFrame:
    """The source columns and `ds`, with REASON (null: usable), RECORD (the row as it landed), FILE and KNOWN_FROM (the
    first midnight at which the row is known).
    """
    typed = reduce(DataFrame.union, (_typed(group, frame) for frame in _read(spark, settings, group, days)))
    available = F.col(group.available_at).cast("timestamp")
    known_from = F.to_date(available + F.expr("INTERVAL 1 DAY") - F.expr("INTERVAL 1 MICROSECOND"))
    key = Window.partitionBy("ds", *group.keys)
    # Among usable rows alone: a late record must not push out the row that was known in time.
    usable_alike = F.count(F.when(F.col(REASON).isNull(), 1)).over(key)
    judged = typed.withColumn(REASON, F.coalesce(REASON, *_reasons(group)))
    return judged.withColumns(
        {REASON: F.coalesce(REASON, F.when(usable_alike > 1, F.lit("duplicate key"))), KNOWN_FROM: known_from}
    )


def _reasons(group: FeatureGroup) -> list[Column]:
    cutoff = F.date_add("ds", group.schedule.delay).cast("timestamp")
    needed = dict.fromkeys([*group.keys, group.event_time, group.available_at])
    return [
        *(F.when(F.col(name).isNull(), F.lit(f"no {name}")) for name in needed),
        F.when(F.to_date(group.event_time) != F.col("ds"), F.lit(f"{group.event_time} outside the partition's day")),
        F.when(F.col(group.available_at).cast("timestamp") > cutoff, F.lit("known only after the cut-off")),
    ]


def _read(spark: SparkSession, settings: Settings, group: FeatureGroup, days: Iterable[date]) -> list[DataFrame]:
    """Frames of the fields as they landed and CORRUPT, the text of a row that could not be parsed."""
    paths = {ds: address(settings, group, ds) for ds in days}
    if group.source.format == "parquet":
        alike: dict[str, list[str]] = {}
        for path in paths.values():
            alike.setdefault(physical_types(path), []).append(_literal(path))
        # A file that breaks off has fewer rows than it promises, which fails its day alone.
        reader = spark.read.option("ignoreCorruptFiles", "true")
        return [reader.parquet(*some).withColumn(CORRUPT, F.lit(None).cast("string")) for some in alike.values()]
    texts = ", ".join(f"`{name}` string" for name in [*group.source.columns, CORRUPT])
    reader = spark.read.schema(texts).option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT)
    files = [_literal(path) for path in paths.values()]
    if group.source.format == "json":
        return [reader.json(files)]
    return [reader.options(header="true", nullValue="NA", escape='"').csv(files)]


def _typed(group: FeatureGroup, raw: DataFrame) -> DataFrame:
    text = group.source.format != "parquet"
    columns = group.source.columns
    values = {name: _value(name, kind, text=text) for name, kind in columns.items()}
    garbled = [
        F.when(~F.is_valid_utf8(name) | F.col(name).contains("\ufffd") | F.col(name).contains("\0"), "not UTF-8")
        for name in [CORRUPT, *(name for name, kind in columns.items() if text or kind == "string")]
    ]
    unfit = [
        F.when(F.col(name).isNotNull() & values[name].isNull(), f"{name} is not of type {kind}")
        for name, kind in columns.items()
        if kind != "string"
    ]
    reason = F.coalesce(*garbled, F.when(F.col(CORRUPT).isNotNull(), "malformed"), *unfit)
    return raw.select(
        *(value.alias(name) for name, value in values.items() if name != "ds"),
        _partition(group).alias("ds"),
        reason.alias(REASON),
        F.coalesce(CORRUPT, F.to_json(F.struct(*columns))).alias(RECORD),
        F.col("_metadata.file_path").alias(FILE),
    )


def _value(name: str, kind: str, *, text: bool) -> Column:
    value = F.col(name).try_cast(SPARK_TYPES.get(kind, kind))
    return F.when(F.col(name).rlike(_A_DAY_FIRST), value) if text and kind in ("date", "timestamp") else value


def _partition(group: FeatureGroup) -> Column:
    """The day in a file's path; Spark tells the path with its special characters escaped."""
    path = F.url_decode(F.regexp_replace(F.col("_metadata.file_path"), r"\+", "%2B"))
    anywhere = date(1, 1, 1)
    first, *rest = (re.escape(part) for part in group.path(anywhere).split(anywhere.isoformat()))
    again = r"\1".join(rest)
    return F.regexp_extract(path, rf"(?:^|/){first}(\d{{4}}-\d{{2}}-\d{{2}}){again}$", 1).try_cast("date")


def _literal(path: str) -> str:
    """A path in which nothing is a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)

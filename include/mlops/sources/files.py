"""Landed files, one a day: CSV, JSON lines or Parquet.

Text is read as text and converted later: Spark's own readers look only for faults in the columns that a query happens
to need, so the same file would have more or fewer malformed rows from one query to the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from include.mlops.errors import BrokenSource, UnreadableFile
from include.mlops.policy.staleness import FILE
from include.mlops.settings import Settings
from include.mlops.sources.landing import address, broken, identity, inspect, landed
from include.mlops.sources.source import CORRUPT, DAY, ORIGIN, Look, Raw
from include.mlops.spec.feature_group import FeatureGroup

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


class LandedFiles:
    """The files of one group below the landing root."""

    def __init__(self, settings: Settings, group: FeatureGroup) -> None:
        self._settings = settings
        self._group = group

    def place(self, ds: date) -> str:
        return self._url(ds)

    def missing(self, ds: date) -> str | None:
        return None if landed(self._url(ds)) else f"the file {self._url(ds)}"

    def look(self, ds: date) -> Look:
        return inspect(self._group, self._url(ds))

    def read(self, spark: SparkSession, looks: Mapping[date, Look]) -> Sequence[Raw]:
        alike: dict[tuple[Any, ...], list[date]] = {}
        for ds, look in looks.items():  # in the order of a file's columns: CSV is read by position
            alike.setdefault(tuple(look.columns.items()), []).append(ds)
        return [Raw(self._frame(spark, looks[days[0]], days), looks[days[0]].columns) for days in alike.values()]

    def unreadable(self, spark: SparkSession, looks: Mapping[date, Look]) -> dict[date, BrokenSource]:
        """By Arrow, which tells a broken file from a store that does not answer; else by Spark, a day at a time."""
        if self._group.source.format != "parquet":
            return {}
        found = {ds: broken(self._url(ds)) for ds in looks}
        if not any(found.values()):
            found = {ds: self._refused(spark, ds, look) for ds, look in looks.items()}
        return {ds: error for ds, error in found.items() if error}

    def _refused(self, spark: SparkSession, ds: date, look: Look) -> UnreadableFile | None:
        """Why Spark cannot read a file that Arrow reads."""
        from pyspark.errors import PySparkException
        from pyspark.sql import functions as F

        try:
            rows = self._frame(spark, look, [ds])
            rows.select(F.max(F.xxhash64(*(F.col(name).cast("string") for name in rows.columns)))).collect()
        except PySparkException as error:
            condition = error.getCondition() or ""
            if not condition.startswith("FAILED_READ_FILE"):
                raise
            return UnreadableFile(
                f"expected rows in {self._url(ds)}, Spark could not read them: {condition}; land it again"
            )
        return None

    def inputs(self, ds: date) -> dict[str, Any]:
        return {FILE: {"path": self._group.path(ds), **identity(self._url(ds))}}

    def _url(self, ds: date) -> str:
        return address(self._settings, self._group, ds)

    def _frame(self, spark: SparkSession, look: Look, days: Sequence[date]) -> DataFrame:
        from pyspark.sql import functions as F

        files = [_literal(self._url(ds)) for ds in days]
        if self._group.source.format == "parquet":
            rows = spark.read.parquet(*files).withColumn(CORRUPT, F.lit(None).cast("string"))
        else:
            rows = self._text(spark, look, files)
        known = [name for name in self._group.source.columns if name in look.columns]
        path = F.col("_metadata.file_path")
        return rows.select(*known, CORRUPT, self._partition(path).alias(DAY), path.alias(ORIGIN))

    def _text(self, spark: SparkSession, look: Look, files: list[str]) -> DataFrame:
        declared, json = self._group.source.columns, self._group.source.format == "json"
        by_place = [name if name in declared else f"_unread_{number}" for number, name in enumerate(look.columns)]
        names = [name for name in by_place if name in declared] if json else by_place
        texts = ", ".join(f"`{name}` string" for name in [*names, CORRUPT])
        reader = spark.read.schema(texts).option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT)
        if json:
            return reader.json(files)
        return reader.options(header="true", nullValue="NA", escape='"').csv(files)

    def _partition(self, file_path: Column) -> Column:
        """The day in a file's path; Spark tells the path with its special characters escaped."""
        from pyspark.sql import functions as F

        path = F.url_decode(F.regexp_replace(file_path, r"\+", "%2B"))
        anywhere = date(1, 1, 1)
        first, *rest = (re.escape(part) for part in self._group.path(anywhere).split(anywhere.isoformat()))
        again = r"\1".join(rest)
        return F.regexp_extract(path, rf"(?:^|/){first}(\d{{4}}-\d{{2}}-\d{{2}}){again}$", 1).try_cast("date")


def _literal(path: str) -> str:
    """A path in which nothing is a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)

"""The carrier that is Spark: `mapInArrow` with the same function, into a staged snapshot of the predictions' table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from include.mlops.compute.executors import send_code, send_file
from include.mlops.errors import FeaturesUnusable
from include.mlops.lake.digest import digest
from include.mlops.lake.lake import Lake
from include.mlops.lake.schema import SPARK_TYPES
from include.mlops.lake.staging import Staged, frame, publish, stage
from include.mlops.learner.scoring import on_executor
from include.mlops.policy.scoring import ScoreSummary
from include.mlops.spec.interval import Interval
from include.mlops.spec.tasks import SCORE
from include.mlops.steps.scoring.predictions import EACH_TIME, Job
from include.mlops.steps.scoring.score_in_process import predicted
from include.mlops.steps.spark_failures import spark_failures

_REMEDY = "look at the Spark server's log, or score in process (scoring.workers: 1)"


@dataclass(frozen=True)
class WrittenOnSpark:
    """A staged snapshot needs no discarding: no reader sees it, and it expires with its branch."""

    summaries: dict[date, ScoreSummary]
    failures: dict[date, str]
    lake: Lake
    spark: SparkSession
    staged: Staged

    def digest(self, ds: date) -> str:
        """Read back in process, a batch at a time."""
        if not self.staged.rows[ds]:
            return digest([])
        batches = self.lake.batches(self.staged.table, Interval.day(ds), snapshot_id=self.staged.snapshot_id)
        return digest(batches, without=EACH_TIME)

    def publish(self, days: Collection[date]) -> int:
        with spark_failures(f"publishing {self.staged.table}", "score the days again"):
            return publish(self.lake, self.spark, self.staged, days)

    def discard(self) -> None:
        pass


def write_on_spark(lake: Lake, spark: SparkSession, job: Job, columns: dict[str, str]) -> WrittenOnSpark:
    """Predict all days in one job; `columns` are those of the table. A day with unusable features fails alone."""
    with spark_failures(f"scoring into {job.table}", _REMEDY):
        send_code(spark)
        rows = reduce(DataFrame.unionByName, _frames(spark, job, columns))
        staged = stage(lake, spark, job.table, rows, list(job.days))
        filled = [ds for ds, rows in staged.rows.items() if rows]  # elsewhere the snapshot shows what was there before
        shown = frame(spark, staged.table, staged.snapshot_id) if filled else None
        found = {row["ds"]: row for row in _counts(shown.where(_on(filled)))} if shown else {}
    summaries = {ds: _summary(found.get(ds)) for ds in job.days}
    failures = {ds: why for ds in job.days if summaries[ds].nulls and (why := _unusable(lake, job, ds))}
    usable = {ds: summary for ds, summary in summaries.items() if ds not in failures}
    return WrittenOnSpark(usable, failures, lake, spark, staged)


def _frames(spark: SparkSession, job: Job, columns: dict[str, str]) -> list[DataFrame]:
    """One frame for each version, and for the days that it saw apart from those that it did not."""
    alike: dict[tuple[int, bool], list[date]] = {}
    for ds, serving in job.days.items():
        alike.setdefault((serving.record.number, serving.saw(ds)), []).append(ds)
    schema = ", ".join(f"`{name}` {SPARK_TYPES.get(kind, kind)}" for name, kind in columns.items())
    frames = []
    for days in alike.values():
        serving, scorer = job.days[days[0]], job.scorer(days[0])
        model = send_file(spark, serving.file, ".ubj")
        features = frame(spark, serving.features, serving.snapshot).where(_on(days)).select(*scorer.columns)
        frames.append(features.mapInArrow(on_executor(model, job.keys, scorer.stamp, list(columns)), schema))
    return frames


def _counts(rows: DataFrame) -> list[Row]:
    score = F.col(SCORE)
    return (
        rows.groupBy("ds")
        .agg(
            F.count("*").alias("rows"),
            F.count_if(score.isNull()).alias("nulls"),
            F.approx_count_distinct(score).alias("distinct"),
            F.min(score).alias("minimum"),
            F.max(score).alias("maximum"),
            F.avg(score).alias("mean"),
        )
        .collect()
    )


def _summary(row: Row | None) -> ScoreSummary:
    if row is None:
        return ScoreSummary(0, 0, 0, None, None, None)
    return ScoreSummary(**{name: row[name] for name in ScoreSummary.__dataclass_fields__})


def _unusable(lake: Lake, job: Job, ds: date) -> str | None:
    """Why features of a day gave no score: the executors only tell that there is none."""
    try:
        for _ in predicted(lake, job, ds):
            pass
    except FeaturesUnusable as error:
        return error.line()
    return None


def _on(days: Collection[date]) -> Column:
    return F.col("ds").isin([F.lit(ds) for ds in days])

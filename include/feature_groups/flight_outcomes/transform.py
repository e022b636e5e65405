"""Outcomes as they landed, with the scheduled hour."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.features import Reads


def transform(outcomes: DataFrame, reads: Reads) -> DataFrame:
    return outcomes.withColumn("sched_dep_hour", F.hour("sched_dep_at"))

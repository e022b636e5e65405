"""The carrier of a training that is Spark: rows are joined there, and workers in barrier mode fit together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from include.mlops.compute.executors import send_code
from include.mlops.errors import FeaturesUnusable, SettingsError, TrainingFailed
from include.mlops.lake.checkpoints import StoredCheckpoints
from include.mlops.lake.staging import frame
from include.mlops.learner.boosting import VALIDATION, OnRound
from include.mlops.learner.encoding import MAX_CATEGORIES, Encoder
from include.mlops.learner.fit import HOLDOUT, TRAINING, Fitted, require_labels, require_numbers
from include.mlops.learner.labels import labels
from include.mlops.learner.recipe import Recipe
from include.mlops.learner.together import LABEL, PART, RESULT, on_barrier, read_result
from include.mlops.spec.expression import Expression
from include.mlops.steps.spark_failures import spark_failures
from include.mlops.steps.training.training_set import Pinned, Source

log = logging.getLogger(__name__)
_REMEDY = "look at the Spark server's log; barrier mode needs as many free task slots as training.workers"


def fit_on_spark(
    spark: SparkSession,
    source: Source,
    recipe: Recipe,
    workers: int,
    on_round: OnRound,
    checkpoints: StoredCheckpoints | None = None,
) -> Fitted:
    """As `fit` in process, but for the order in which sums are taken: metrics agree within a tolerance, bytes do not.

    The same rows, recipe and number of workers give the same bytes again, also after a kill that left `checkpoints`.
    `on_round` is told of all rounds at the end.
    Raises TrainingFailed, FeaturesUnusable, SettingsError, MlopsError, ServiceUnavailable.
    """
    if recipe.device != "cpu":
        raise SettingsError(
            f"expected device: cpu with training.workers: {workers}, found {recipe.device}; train on one worker with a "
            "GPU (workers: 1), or on several without"
        )
    with spark_failures(f"training on {workers} workers", _REMEDY):
        send_code(spark)
        rows = _examples(spark, source, recipe.columns)
        watched = (HOLDOUT, VALIDATION) if source.validation else (HOLDOUT,)
        counts = _counted(rows, recipe)
        for part in (TRAINING, *watched):
            require_labels(part, *counts.get(part, (0, np.zeros(len(recipe.codes), bool))), recipe)
        encoder = _encoder(rows, recipe)
        require_numbers(encoder, recipe)
        threads = int(spark.conf.get("spark.task.cpus", "1") or 1)
        here = replace(recipe, threads=threads, class_weight=_weights(rows, recipe))
        shared = rows.repartition(workers, *source.keys).sortWithinPartitions(PART, "ds", *source.keys)
        columns = shared.select(PART, LABEL, *recipe.columns)
        train = on_barrier(here, encoder, to_arrow_schema(columns.schema), watched, workers, checkpoints)
        (found,) = columns.mapInArrow(train, RESULT, barrier=True).collect()
    fitted, history = read_result(found.asDict())
    for number, metrics in enumerate(history, 1):
        on_round(number, metrics)
    return fitted


def _examples(spark: SparkSession, source: Source, columns: Sequence[str]) -> DataFrame:
    """Labelled rows of all parts: identity, features, LABEL, PART. Raises TrainingFailed on a repeated key."""
    identity = ["ds", *source.keys]
    features = _pinned(spark, source.features, source).select(*dict.fromkeys([*identity, *columns]))
    expression = Expression.parse(source.expression)
    outcomes = _pinned(spark, source.labels, source).select(*dict.fromkeys([*identity, *expression.columns]))
    for pinned, rows in ((source.features, features), (source.labels, outcomes)):
        _require_single(pinned, rows, identity)
    kinds = ", ".join(f"`{name}` {outcomes.schema[name].dataType.simpleString()}" for name in identity)
    labelled = outcomes.mapInArrow(
        _labelling(source.expression, source.task, source.classes, identity), f"{kinds}, {LABEL} double"
    ).where(F.col(LABEL).isNotNull())
    part = F.when(F.col("ds") > F.lit(source.window.last), HOLDOUT).otherwise(TRAINING)
    if source.validation:
        late = F.col("ds").between(F.lit(source.validation.first), F.lit(source.validation.last))
        part = F.when(late, VALIDATION).otherwise(part)
    return features.join(labelled, identity).withColumn(PART, part)


def _pinned(spark: SparkSession, pinned: Pinned, source: Source) -> DataFrame:
    days = F.col("ds").between(F.lit(source.window.first), F.lit(source.holdout.last))
    return frame(spark, pinned.table, pinned.snapshot_id).where(days)


def _labelling(
    expression: str, task: str, classes: tuple[str, ...], identity: Sequence[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def label(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parsed = Expression.parse(expression)
        for batch in batches:
            table = pa.Table.from_batches([batch])
            values = labels(parsed, table, task, classes)
            yield from table.select(identity).append_column(LABEL, values).to_batches()

    return label


def _require_single(pinned: Pinned, rows: DataFrame, identity: list[str]) -> None:
    twice = rows.groupBy(*identity).count().where("count > 1").limit(1).collect()
    if twice:
        example = ", ".join(f"{name}={twice[0][name]}" for name in identity)
        raise TrainingFailed(
            f"expected one row for each {', '.join(identity)} in {pinned.table}, found some repeated, such as "
            f"{example}; correct `keys` in the feature group, or its transform"
        )


def _counted(rows: DataFrame, recipe: Recipe) -> dict[str, tuple[int, NDArray[np.bool_]]]:
    """{part: (rows, which codes it has)}."""
    there = [F.max(F.when(F.col(LABEL) == code, 1).otherwise(0)) for code in recipe.codes]
    counted = rows.groupBy(PART).agg(F.count("*"), *there).collect()
    return {row[0]: (row[1], np.array(row[2:], bool)) for row in counted}


def _weights(rows: DataFrame, recipe: Recipe) -> Mapping[float, float] | None:
    """Balanced weights are those of all rows: a worker knows its share alone."""
    if not isinstance(recipe.class_weight, str):
        return recipe.class_weight
    counted: dict[float, int] = dict(rows.where(F.col(PART) == TRAINING).groupBy(LABEL).count().collect())
    return {code: sum(counted.values()) / (len(counted) * count) for code, count in counted.items()}


def _encoder(rows: DataFrame, recipe: Recipe) -> Encoder:
    texts = [name for name in recipe.columns if rows.schema[name].dataType.simpleString() == "string"]
    if not texts:
        return Encoder(recipe.columns)
    training = rows.where(F.col(PART) == TRAINING)
    many = training.agg(*(F.approx_count_distinct(name).alias(name) for name in texts)).collect()[0]
    for name in texts:
        if many[name] > MAX_CATEGORIES:
            raise FeaturesUnusable(
                f"column '{name}': expected at most {MAX_CATEGORIES} different texts, found about {many[name]}; leave "
                "it out of features.columns, or publish a coarser column or a number instead"
            )
    found = training.agg(*(F.collect_set(name).alias(name) for name in texts)).collect()[0]
    return Encoder(recipe.columns, {name: tuple(sorted(found[name])) for name in texts})

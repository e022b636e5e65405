"""Scoring one day: the score step in process and on Spark, against what one would write by hand or take ready-made.

- bare loop: pyarrow reads the day's Parquet files, `inplace_predict` scores a batch, pyarrow writes Parquet. No table,
  no gate, no ledger.
- MLflow's `spark_udf` and `xgboost.spark`'s transform: a classic local[2] session over the same files, Parquet out.

    python benchmarks/scoring.py --rows 5000000 --repeat 3
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import made_up, peers
from benchmarks.classic_spark import classic_spark
from include.mlops.learner.encoding import Encoder
from include.mlops.spec.interval import Interval

NIGHT = made_up.day(20)
BARE = "bare loop"


def set_up(state: Path, rows: int) -> dict[str, Any]:
    """A version trained on seven small days, live for the day with `rows` rows."""
    from include.mlops.steps.training.train import train

    platform = made_up.platform_of(state)
    for number in range(1, 12):
        trips, outcomes = made_up.rows(made_up.day(number), 20_000)
        made_up.publish(platform, made_up.TRIPS, trips, made_up.day(number))
        made_up.publish(platform, made_up.OUTCOMES, outcomes, made_up.day(number))
    made_up.publish(platform, made_up.TRIPS, made_up.rows(NIGHT, rows)[0], NIGHT)
    version = train(platform, made_up.model(), made_up.day(10), "benchmark")
    platform.ledger.releases.promote("late_trips", version.version, NIGHT)
    (state / "model.ubj").write_bytes(platform.registry.model_file(platform.registry.version("late_trips", 1)))
    table = platform.lake.table(made_up.TRIPS.table)
    files = [task.file.file_path for task in table.scan(f"ds = '{NIGHT}'").plan_files()]
    return {"files": [file.removeprefix("file://") for file in files], "rows": rows}


def _step(state: Path, workers: int) -> dict[str, Any]:
    from include.mlops.steps.scoring.score import score

    platform = made_up.platform_of(state)
    # What a process does once (imports, connections) is no peer's seconds; the column `process` has it.
    assert platform.ledger.publications.frontier(made_up.TRIPS.table)
    assert platform.registry.versions("late_trips")
    assert platform.lake.snapshot(made_up.TRIPS.table)
    if workers > 1:
        platform.spark.range(1).count()
    begun = time.perf_counter()
    done = score(platform, made_up.model(scoring={"workers": workers}), Interval.day(NIGHT), "benchmark")
    return {"seconds": time.perf_counter() - begun, "mean": done.mean_score[NIGHT]}


def in_process(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    return _step(state, 1)


def on_spark(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    return _step(state, 2)


def bare_loop(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    import xgboost as xgb

    begun = time.perf_counter()
    booster = xgb.Booster()
    booster.load_model(state / "model.ubj")
    encoder = Encoder.from_json(booster.attr("mlops_encoder"))
    sets = {name: pa.array(values) for name, values in encoder.vocabularies.items()}
    schema = pa.schema([("trip", pa.int64()), ("score", pa.float32())])
    total, rows = 0.0, 0
    with pq.ParquetWriter(state / "bare.parquet", schema, compression="zstd", compression_level=1) as writer:
        for file in told["files"]:
            reader = pq.ParquetFile(file, read_dictionary=list(sets))
            for batch in reader.iter_batches(131_072, columns=["trip", *encoder.columns]):
                matrix = np.empty((batch.num_rows, len(encoder.columns)), np.float32)
                for position, name in enumerate(encoder.columns):
                    values = batch.column(name)
                    if name in sets:
                        values = pc.take(pc.index_in(values.dictionary, sets[name]), values.indices)
                    matrix[:, position] = values.to_numpy(zero_copy_only=False)
                scores = booster.inplace_predict(matrix)
                writer.write_batch(pa.record_batch([batch.column("trip"), scores], schema=schema))
                total, rows = total + float(scores.sum(dtype=np.float64)), rows + batch.num_rows
    return {"seconds": time.perf_counter() - begun, "mean": total / rows}


def mlflow_udf(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    import mlflow
    from pyspark.sql import functions as F

    mlflow.set_tracking_uri(made_up.platform_of(state).settings.mlflow_url)
    spark = classic_spark(state)
    begun = time.perf_counter()
    udf = mlflow.pyfunc.spark_udf(spark, "models:/late_trips/1", result_type="double", env_manager="local")
    frame = spark.read.parquet(*told["files"])
    scored = frame.select("trip", udf(F.struct(*made_up.FEATURES)).alias("score"))
    scored.write.mode("overwrite").parquet(str(state / "udf"))
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "mean": spark.read.parquet(str(state / "udf")).agg(F.mean("score")).first()[0]}


def xgboost_spark(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Its transform takes numbers only: the texts are coded by joins with small tables first, as one would."""
    import xgboost as xgb
    from pyspark.sql import functions as F
    from xgboost.spark import SparkXGBClassifier, SparkXGBClassifierModel

    spark = classic_spark(state)
    classifier = xgb.XGBClassifier(enable_categorical=True)
    classifier.load_model(state / "model.ubj")
    begun = time.perf_counter()
    encoder = Encoder.from_json(classifier.get_booster().attr("mlops_encoder"))
    frame = spark.read.parquet(*told["files"])
    for name, values in encoder.vocabularies.items():
        codes = F.create_map(*(F.lit(part) for pair in enumerate(values) for part in reversed(pair)))
        frame = frame.withColumn(name, codes[F.col(name)].cast("double"))
    params = SparkXGBClassifier(
        features_col=list(encoder.columns),
        feature_types=encoder.feature_types,
        missing=float("nan"),
    )
    transformer = params._copyValues(SparkXGBClassifierModel(classifier))
    scored = transformer.transform(frame).select("trip", F.col("probability"))
    scored.write.mode("overwrite").parquet(str(state / "xgb"))
    seconds = time.perf_counter() - begun
    from pyspark.ml.functions import vector_to_array

    mean = spark.read.parquet(str(state / "xgb")).agg(F.mean(vector_to_array("probability")[1])).first()[0]
    return {"seconds": seconds, "mean": mean}


PEERS: dict[str, peers.Peer] = {
    BARE: bare_loop,
    "score in process": in_process,
    "score by mapInArrow": on_spark,
    "mlflow spark_udf": mlflow_udf,
    "xgboost.spark transform": xgboost_spark,
}


def main() -> None:
    options = peers.arguments(__doc__, 5_000_000).parse_args()
    if peers.answer_as_peer(PEERS, options):
        return
    with peers.state_folder() as folder, made_up.servers(Path(folder)):
        told = set_up(Path(folder), options.rows)
        runs = peers.compare(__file__, list(PEERS), options, Path(folder), told)
    peers.show(f"Scoring {options.rows:,} rows x {len(made_up.FEATURES)} features", runs, BARE, options.rows)
    for name, found in runs.items():
        print(f"  {name}: mean score {found[0]['mean']:.6f}")
    peers.keep(options, {"rows": options.rows, "runs": runs})


if __name__ == "__main__":
    main()

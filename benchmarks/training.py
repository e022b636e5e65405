"""Training a version: the train step in process and on Spark, against what one would write by hand or take ready-made.

- bare QuantileDMatrix: pyarrow reads the tables' Parquet files, joins features and labels and codes the texts; a
  QuantileDMatrix; `xgb.train` with the same parameters, which watches the holdout; the model as a file. No check, no
  record, no reference sample, no registry.
- xgboost.spark: `SparkXGBClassifier` on two workers of a classic local[2] session over the same files.

The step is judged whole: checks, reading, boosting with checkpoints, holdout, plots, reference, record, registration.
`workers: 1` also says how many bytes a value takes in process: what policy/carrier.py calls TRAINING_BYTES.

    python benchmarks/training.py --rows 2000000 --repeat 3
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import made_up, peers
from benchmarks.classic_spark import classic_spark

WINDOW = 7
HOLDOUT = made_up.day(WINDOW + 1)
AS_OF = made_up.day(WINDOW + 2)  # by then the holdout's labels are due
IDENTITY = ["ds", "trip"]
BARE, IN_PROCESS = "bare QuantileDMatrix", "train in process"
METRICS = ["logloss", "auc"]


def set_up(state: Path, rows: int) -> dict[str, Any]:
    """`rows` in seven days, and a holdout day of the same size as each of them."""
    platform = made_up.platform_of(state)
    for number in range(1, WINDOW + 2):
        ds = made_up.day(number)
        for group, table in zip((made_up.TRIPS, made_up.OUTCOMES), made_up.rows(ds, rows // WINDOW), strict=True):
            made_up.publish(platform, group, table, ds)
    return {group.name: _files(platform, group.table) for group in (made_up.TRIPS, made_up.OUTCOMES)}


def _files(platform: Any, table: str) -> list[str]:
    tasks = platform.lake.table(table).scan().plan_files()
    return [task.file.file_path.removeprefix("file://") for task in tasks]


def _step(state: Path, workers: int) -> dict[str, Any]:
    import xgboost  # noqa: F401 - loaded by every peer before its time begins

    from include.mlops.steps.training.train import train

    platform = made_up.platform_of(state)
    platform.registry.versions("late_trips")  # MLflow's client is up
    if workers > 1:
        platform.spark.range(1).count()
    # Without sampling a seed changes nothing in the model, but each seed is a training of its own.
    seed = int(time.time())
    model = made_up.model(WINDOW, training={"workers": workers, "seed": seed})
    base = psutil.Process().memory_info().rss
    begun, spent = time.perf_counter(), peers.cpu_seconds()
    done = train(platform, model, AS_OF, "benchmark")
    took = {"seconds": time.perf_counter() - begun, "cpu": peers.cpu_seconds() - spent}
    assert not done.reused
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base
    return {**took, "held": held, **{name: done.metrics[name] for name in ("roc_auc", "log_loss")}}


def in_process(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    return _step(state, 1)


def on_spark(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    return _step(state, 2)


def bare(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    import xgboost as xgb

    parameters = _parameters()
    base = psutil.Process().memory_info().rss
    begun, spent = time.perf_counter(), peers.cpu_seconds()
    features = pq.read_table(told["trips"], columns=[*IDENTITY, *made_up.FEATURES], partitioning=None)
    labels = pq.read_table(told["outcomes"], columns=[*IDENTITY, "late"], partitioning=None)
    rows = features.join(labels, IDENTITY, join_type="inner")
    of_holdout = pc.equal(rows["ds"], pa.scalar(HOLDOUT))
    parts = {"train": rows.filter(pc.invert(of_holdout)), "holdout": rows.filter(of_holdout)}
    vocabularies = {name: pc.unique(parts["train"][name]).sort() for name in made_up.TEXTS}
    matrices: dict[str, xgb.QuantileDMatrix] = {}
    for name, part in parts.items():
        matrices[name] = xgb.QuantileDMatrix(
            _matrix(part, vocabularies),
            part["late"].to_numpy().astype(np.float32),
            feature_types=["c" if column in vocabularies else "q" for column in made_up.FEATURES],
            enable_categorical=True,
            ref=matrices.get("train"),
        )
    found: dict[str, Any] = {}
    watched = [(matrices["holdout"], "holdout")]
    booster = xgb.train(parameters, matrices["train"], 100, evals=watched, evals_result=found, verbose_eval=False)
    booster.save_model(state / "bare.ubj")
    took = {"seconds": time.perf_counter() - begun, "cpu": peers.cpu_seconds() - spent}
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base
    last = {name: values[-1] for name, values in found["holdout"].items()}
    return {**took, "held": held, "roc_auc": last["auc"], "log_loss": last["logloss"]}


def _parameters() -> dict[str, Any]:
    return {"tree_method": "hist", "objective": "binary:logistic", "eval_metric": METRICS, "nthread": 2, "seed": 7}


def _matrix(rows: pa.Table, vocabularies: dict[str, pa.Array]) -> np.ndarray[Any, Any]:
    matrix = np.empty((rows.num_rows, len(made_up.FEATURES)), np.float32)
    for position, name in enumerate(made_up.FEATURES):
        values = rows[name]
        if name in vocabularies:
            values = pc.index_in(values, vocabularies[name])
        matrix[:, position] = pc.cast(values, pa.float32(), safe=False).to_numpy()
    return matrix


def xgboost_spark(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    """It takes numbers only: the texts are coded by maps of their values first, as one would."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F
    from xgboost.spark import SparkXGBClassifier

    from include.mlops.learner.evaluate import evaluate

    spark = classic_spark(state)
    begun, spent = time.perf_counter(), peers.cpu_seconds()
    features = spark.read.parquet(*told["trips"]).select(*IDENTITY, *made_up.FEATURES)
    labels = spark.read.parquet(*told["outcomes"]).select(*IDENTITY, F.col("late").cast("double").alias("late"))
    rows = features.join(labels, IDENTITY)
    of_holdout = F.col("ds") == F.lit(HOLDOUT)
    found = features.where(~of_holdout).agg(*(F.collect_set(name).alias(name) for name in made_up.TEXTS)).collect()[0]
    for name in made_up.TEXTS:
        codes = F.create_map(*(F.lit(part) for pair in enumerate(sorted(found[name])) for part in reversed(pair)))
        rows = rows.withColumn(name, codes[F.col(name)].cast("double"))
    classifier = SparkXGBClassifier(
        features_col=made_up.FEATURES,
        label_col="late",
        feature_types=["c" if name in made_up.TEXTS else "q" for name in made_up.FEATURES],
        missing=float("nan"),
        num_workers=2,
        n_estimators=100,
        tree_method="hist",
    )
    fitted = classifier.fit(rows.where(~of_holdout))
    fitted.get_booster().save_model(state / "spark.ubj")
    scored = fitted.transform(rows.where(of_holdout)).select("late", vector_to_array("probability")[1].alias("score"))
    judged = scored.toArrow()
    took = {"seconds": time.perf_counter() - begun, "cpu": peers.cpu_seconds() - spent}
    metrics = evaluate("binary", judged["late"].to_numpy(), judged["score"].to_numpy())
    return {**took, **{name: metrics[name] for name in ("roc_auc", "log_loss")}}


PEERS: dict[str, peers.Peer] = {
    BARE: bare,
    IN_PROCESS: in_process,
    "train on Spark": on_spark,
    "xgboost.spark": xgboost_spark,
}


def told_of_runs(runs: dict[str, Sequence[dict[str, Any]]], rows: int) -> None:
    for name, found in runs.items():
        auc, loss = (statistics.median(one[metric] for one in found) for metric in ("roc_auc", "log_loss"))
        cpu = statistics.median(one["cpu"] for one in found)
        values = (rows // WINDOW) * (WINDOW + 1) * len(made_up.FEATURES)
        held = f", {max(one['held'] for one in found) / values:.1f} bytes a value" if "process" in name else ""
        print(f"  {name}: holdout roc_auc {auc:.4f}, log_loss {loss:.4f}; CPU {cpu:.1f} s{held}")


def main() -> None:
    options = peers.arguments(__doc__ or "", 2_000_000).parse_args()
    if peers.answer_as_peer(PEERS, options):
        return
    with peers.state_folder() as folder, made_up.servers(Path(folder)):
        told = set_up(Path(folder), options.rows)
        runs = peers.compare(__file__, list(PEERS), options, Path(folder), told)
    peers.show(f"Training on {options.rows:,} rows x {len(made_up.FEATURES)} features", runs, BARE, options.rows)
    told_of_runs(runs, options.rows)
    peers.keep(options, {"rows": options.rows, "runs": runs})


if __name__ == "__main__":
    main()

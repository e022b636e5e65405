"""Validation of staged rows: the `validate` step against plain Great Expectations on Spark.

Both judge the same Parquet files of the same Iceberg snapshot with the same 25 expectations, each in a fresh process
and in turns; what they decided is compared expectation by expectation.

    python benchmarks/validation.py --rows 5000000 --days 1 --repeat 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import peers
from benchmarks.classic_spark import classic_spark
from include.mlops.lake.lake import Lake
from include.mlops.lake.schema import PARTITION_COLUMNS
from include.mlops.lake.staging import Staged
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup

FIRST = date(2013, 3, 1)
Verdicts = dict[str, tuple[bool, str]]
CARRIERS = [f"{a}{b}" for a in "ABDEFHMU" for b in "9AS"]
DESTINATIONS = [f"{a}{b}{c}" for a in "ABCDE" for b in "KLMNO" for c in "RSTU"]
COLUMNS = {
    "trip": "long", "ticket": "string", "carrier": "string", "origin": "string", "dest": "string", "plane": "string",
    "status": "string", "flight": "int", "seats": "int", "passengers": "int", "distance": "double", "fare": "double",
    "delay": "double", "rating": "double", "paid": "boolean", "departs": "timestamp", "arrives": "timestamp",
}  # fmt: skip
EXPECTATIONS: list[dict[str, Any]] = [  # 23, to which the step adds that the key is there and unique
    {"expect_column_values_to_not_be_null": {"column": "ticket"}},
    {"expect_column_values_to_not_be_null": {"column": "plane", "mostly": 0.9}},
    {"expect_column_values_to_not_be_null": {"column": "fare"}},
    {"expect_column_values_to_be_between": {"column": "distance", "min_value": 10, "max_value": 6000}},
    {"expect_column_values_to_be_between": {"column": "fare", "min_value": 0, "strict_min": True, "mostly": 0.98}},
    {"expect_column_values_to_be_between": {"column": "delay", "min_value": -100, "max_value": 100}},
    {"expect_column_values_to_be_in_set": {"column": "origin", "value_set": ["EWR", "JFK", "LGA"]}},
    {"expect_column_values_to_be_in_set": {"column": "carrier", "value_set": CARRIERS}},
    {"expect_column_values_to_be_in_set": {"column": "status", "value_set": ["planned", "flown", "cancelled"]}},
    {"expect_column_values_to_not_be_in_set": {"column": "dest", "value_set": ["XXX", "ZZZ"]}},
    {"expect_column_values_to_match_regex": {"column": "ticket", "regex": "^[A-Z][0-9]{8}$"}},
    {"expect_column_values_to_match_regex": {"column": "plane", "regex": "^N[1-9][0-9]{2,4}$", "mostly": 0.99}},
    {"expect_column_value_lengths_to_equal": {"column": "origin", "value": 3}},
    {"expect_column_value_lengths_to_be_between": {"column": "plane", "min_value": 4, "max_value": 6}},
    {"expect_compound_columns_to_be_unique": {"column_list": ["carrier", "flight", "ticket"]}},
    {"expect_column_mean_to_be_between": {"column": "fare", "min_value": 100, "max_value": 300}},
    {"expect_column_median_to_be_between": {"column": "distance", "min_value": 500, "max_value": 1500}},
    {"expect_column_stdev_to_be_between": {"column": "delay", "min_value": 10, "max_value": 20}},
    {"expect_column_quantile_values_to_be_between": {
        "column": "delay", "quantile_ranges": {"quantiles": [0.05, 0.5, 0.95],
                                               "value_ranges": [[-60, -40], [-5, 15], [45, 60]]}}},
    {"expect_column_unique_value_count_to_be_between": {"column": "dest", "min_value": 50, "max_value": 150}},
    {"expect_column_pair_values_a_to_be_greater_than_b": {
        "column_A": "arrives", "column_B": "departs", "ignore_row_if": "either_value_is_missing"}},
    {"expect_column_max_to_be_between": {"column": "passengers", "min_value": 1, "max_value": 400}},
    {"expect_table_row_count_to_be_between": {"min_value": 1000, "max_value": 4000000}},
]  # fmt: skip


def feature_group(days: int) -> FeatureGroup:
    return FeatureGroup.model_validate(
        {
            "name": f"trips_{days}",
            "owner": "benchmark",
            "description": "Made-up trips.",
            "keys": ["trip"],
            "event_time": "departs",
            "available_at": "departs",
            "source": {"format": "parquet", "path": "{ds}.parquet", "columns": COLUMNS},
            "publishes": COLUMNS,
            "first_partition": FIRST,
            "schedule": {"start": FIRST},
            "expectations": EXPECTATIONS,
        }
    )


# ---------------------------------------------------------------- data


def trips(ds: date, rows: int, first: int) -> pa.Table:
    """A day's trips, the same at each call; about one value in a thousand is wrong where a column may be."""
    rng = np.random.default_rng(ds.toordinal())
    number = np.arange(first, first + rows)

    def chosen(values: list[str], weights: list[float] | None = None) -> pa.Array:
        return pa.array(values).take(pa.array(rng.choice(len(values), rows, p=weights)))

    def some(values: np.ndarray[Any, Any], share_null: float) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < share_null)

    texts = pc.utf8_lpad(pa.array(number).cast("string"), 8, "0")
    initials = pa.array(np.where(rng.random(rows) < 0.001, "t", "T"))
    planes = pc.binary_join_element_wise("N", pa.array(rng.integers(90, 9999, rows)).cast("string"), "")
    departs = datetime.combine(ds, datetime.min.time(), UTC).timestamp() * 1e6 + rng.integers(0, 86_400, rows) * 1e6
    arrives = departs + rng.integers(-1, 36_000, rows) * 1e6
    moments = pa.timestamp("us", "UTC")
    columns: dict[str, Any] = {
        "trip": number,
        "ticket": pc.binary_join_element_wise(initials, texts, ""),
        "carrier": chosen(CARRIERS),
        "origin": chosen(["EWR", "JFK", "LGA"]),
        "dest": chosen(DESTINATIONS),
        "plane": pc.if_else(pa.array(rng.random(rows) < 0.05), None, planes),
        "status": chosen(["planned", "flown", "cancelled", "lost"], [0.3, 0.599, 0.1, 0.001]),
        "flight": rng.integers(1, 9999, rows).astype("int32"),
        "seats": rng.integers(50, 400, rows).astype("int32"),
        "passengers": rng.integers(0, 400, rows).astype("int32"),
        "distance": some(rng.gamma(3, 400, rows) + 10, 0.0),
        "fare": some(rng.normal(200, 80, rows).round(2), 0.01),
        "delay": some(rng.normal(5, 30, rows), 0.03),
        "rating": some(rng.random(rows) * 5, 0.2),
        "paid": rng.random(rows) < 0.9,
        "departs": pa.array(departs.astype("int64")).cast(moments),
        "arrives": pa.array(arrives.astype("int64"), mask=rng.random(rows) < 0.02).cast(moments),
    }
    columns["event_time"] = columns["available_at"] = columns["departs"]
    columns["known_from"] = columns["ds"] = pa.array([ds]).take(pa.array(np.zeros(rows, dtype="int64")))
    return pa.table(columns)


def stage(settings: Settings, rows: int, days: int) -> Staged:
    """A snapshot with `rows` spread over `days` partitions."""
    lake, group = Lake(settings), feature_group(days)
    lake.create(group.table, {**COLUMNS, **PARTITION_COLUMNS})
    counts: dict[date, int] = {}
    snapshot = None
    for number in range(days):
        ds = FIRST + timedelta(days=number)
        counts[ds] = rows // days
        snapshot = lake.replace(group.table, trips(ds, counts[ds], number * counts[ds]), [ds])
    return Staged(group.table, "benchmark", snapshot, counts)


# ---------------------------------------------------------------- the two that judge; each in its own process


def _step(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    from include.mlops.spec.load import Specs
    from include.mlops.steps.ingestion.ingest import Ingested
    from include.mlops.steps.ingestion.validate import validate
    from include.mlops.steps.platform import Platform

    staged = _staged(told)
    group = feature_group(len(staged.rows))
    platform = Platform(Settings(state=state), Specs({group.name: group}, {}))
    assert platform.ledger
    begun, spent = time.perf_counter(), peers.cpu_seconds()
    validate(platform, group, Ingested(group.name, staged, {}, {}, {}, "", "benchmark"))
    took = {"seconds": time.perf_counter() - begun, "cpu": peers.cpu_seconds() - spent}
    found = [r for ds in sorted(staged.rows) for r in platform.ledger.publications.validations(group.table, ds)]
    # The ledger keeps those of earlier turns too; the newest stand last.
    return {**took, "verdicts": {_named(r.ds, r.expectation, r.target): (r.success, r.observed) for r in found}}


def _plain(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What a team would write with Great Expectations' own Spark data source, on the table's files."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from pyspark.sql import functions as F

    from include.mlops.steps.expectations.great_expectations_suite import as_built, as_verdict
    from include.mlops.steps.expectations.judge import expectations_of

    staged, settings = _staged(told), Settings(state=state)
    group = feature_group(len(staged.rows))
    files = [task.file.file_path for task in Lake(settings).table(staged.table).scan().plan_files()]
    spark = classic_spark(state, settings.spark_memory)
    expectations = expectations_of(group)
    begun, spent = time.perf_counter(), peers.cpu_seconds()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_spark("spark").add_dataframe_asset(group.name)
    batches = asset.add_batch_definition_whole_dataframe("partition")
    built = [as_built(gx, group, one, number) for number, one in enumerate(expectations)]
    suite = gx.ExpectationSuite(name=group.name, expectations=built)
    verdicts: Verdicts = {}
    for ds in sorted(staged.rows):
        frame = spark.read.parquet(*files).where(F.col("ds") == F.lit(ds))
        for result in batches.get_batch({"dataframe": frame}).validate(suite).results:
            one = expectations[result.expectation_config.meta["number"]]
            verdicts[_named(ds, one.name, ", ".join(one.columns) or "table")] = as_verdict(result)
        frame.unpersist()
    return {"seconds": time.perf_counter() - begun, "cpu": peers.cpu_seconds() - spent, "verdicts": verdicts}


def _staged(told: dict[str, Any]) -> Staged:
    rows = {date.fromisoformat(day): count for day, count in told["rows"].items()}
    return Staged(told["table"], "benchmark", told["snapshot_id"], rows)


def _named(ds: date, expectation: str, target: str) -> str:
    return f"{ds} {expectation} ({target})"


STEP, PLAIN = "validate", "plain GX on Spark"
PEERS: dict[str, peers.Peer] = {STEP: _step, PLAIN: _plain}


# ---------------------------------------------------------------- comparing


def differences(mine: Verdicts, other: Verdicts) -> tuple[list[str], list[str]]:
    """Expectations with another verdict, and those with the same verdict of which something else was observed."""
    assert mine.keys() == other.keys()
    verdicts, observed = [], []
    for which, (met, found) in mine.items():
        line = f"{which}: {met} {found!r} / {other[which][0]} {other[which][1]!r}"
        if met != other[which][0]:
            verdicts.append(line)
        elif _counts(found) != _counts(other[which][1]):
            observed.append(line)
    return verdicts, observed


def _counts(observed: str) -> Any:
    """What must be equal: counts exactly, numbers to nine digits; not which values stand as examples."""
    try:
        return float(f"{float(observed):.9g}")
    except ValueError:
        return observed.partition(" otherwise")[0]


def compared(state: Path, days: int, options: argparse.Namespace) -> dict[str, Any]:
    staged = stage(Settings(state=state), options.rows, days)
    rows = {str(day): count for day, count in staged.rows.items()}
    told = {"table": staged.table, "snapshot_id": staged.snapshot_id, "rows": rows}
    runs = peers.compare(__file__, list(PEERS), options, state, told)
    verdicts = {name: [one.pop("verdicts") for one in found][-1] for name, found in runs.items()}
    result: dict[str, Any] = {"rows": options.rows, "days": days, "runs": runs}
    peers.show(
        f"{options.rows:,} rows in {days} day(s), 25 expectations a day", runs, next(reversed(runs)), options.rows
    )
    cpu = {name: statistics.median(one["cpu"] for one in found) for name, found in runs.items()}
    print(f"{'CPU seconds':34}{', '.join(f'{name} {seconds:.1f}' for name, seconds in cpu.items())}")
    if len(verdicts) == len(PEERS):
        other, observed = differences(verdicts[STEP], verdicts[PLAIN])
        failed = sum(not met for met, _ in verdicts[STEP].values())
        result |= {"not met": failed, "other verdicts": other, "other observations": observed}
        print(
            f"{len(verdicts[STEP])} verdicts, {failed} not met; {len(other)} differ; "
            f"counts or values differ in {len(observed)}"
        )
        print("".join(f"  {line}\n" for line in (*other, *observed)), end="")
    return result


def main() -> None:
    parser = peers.arguments(__doc__ or "", 5_000_000)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 5], help="spread the rows over that many partitions")
    options = parser.parse_args()
    if peers.answer_as_peer(PEERS, options):
        return
    results = []
    for days in options.days:
        with peers.state_folder() as folder:
            results.append(compared(Path(folder), days, options))
    peers.keep(options, {"results": results})


if __name__ == "__main__":
    main()

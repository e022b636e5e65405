"""Validation of staged rows: the `validate` step against plain Great Expectations on Spark.

Both judge the same Parquet files of the same Iceberg snapshot with the same 25 expectations, each in a fresh process
and in turns; what they decided is compared expectation by expectation.

    python benchmarks/validation.py --rows 5000000 --days 1 --repeat 3
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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

    texts = pa.compute.utf8_lpad(pa.array(number).cast("string"), 8, "0")
    initials = pa.array(np.where(rng.random(rows) < 0.001, "t", "T"))
    planes = pa.compute.binary_join_element_wise("N", pa.array(rng.integers(90, 9999, rows)).cast("string"), "")
    departs = datetime.combine(ds, datetime.min.time(), UTC).timestamp() * 1e6 + rng.integers(0, 86_400, rows) * 1e6
    arrives = departs + rng.integers(-1, 36_000, rows) * 1e6
    moments = pa.timestamp("us", "UTC")
    columns: dict[str, Any] = {
        "trip": number,
        "ticket": pa.compute.binary_join_element_wise(initials, texts, ""),
        "carrier": chosen(CARRIERS),
        "origin": chosen(["EWR", "JFK", "LGA"]),
        "dest": chosen(DESTINATIONS),
        "plane": pa.compute.if_else(pa.array(rng.random(rows) < 0.05), None, planes),
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


def ours(settings: Settings, staged: Staged) -> dict[str, Any]:
    from include.mlops.spec.load import Specs
    from include.mlops.steps.ingest import Ingested
    from include.mlops.steps.platform import Platform
    from include.mlops.steps.validate import validate

    group = feature_group(len(staged.rows))
    platform = Platform(settings, Specs({group.name: group}, {}))
    assert platform.ledger
    begun = time.perf_counter()
    validate(platform, group, Ingested(group.name, staged, {}, {}, {}, "", "benchmark"))
    seconds = time.perf_counter() - begun
    found = [r for ds in sorted(staged.rows) for r in platform.ledger.publications.validations(group.table, ds)]
    # The ledger keeps those of earlier runs too; the newest stand last.
    verdicts = {f"{r.ds} {r.expectation} ({r.target})": (r.success, r.observed) for r in found}
    return {"seconds": seconds, "verdicts": verdicts}


def plain(settings: Settings, staged: Staged) -> dict[str, Any]:
    """What a team would write with Great Expectations' own Spark data source, on the table's files."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    from include.mlops.steps.great_expectations_suite import as_built, as_verdict
    from include.mlops.steps.judge import expectations_of

    group = feature_group(len(staged.rows))
    files = [task.file.file_path for task in Lake(settings).table(staged.table).scan().plan_files()]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", settings.spark_memory)
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    spark.range(1).count()
    expectations = expectations_of(group)
    begun = time.perf_counter()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_spark("spark").add_dataframe_asset(group.name)
    batches = asset.add_batch_definition_whole_dataframe("partition")
    suite = gx.ExpectationSuite(
        name=group.name, expectations=[as_built(gx, group, one, number) for number, one in enumerate(expectations)]
    )
    verdicts: Verdicts = {}
    for ds in sorted(staged.rows):
        frame = spark.read.parquet(*files).where(F.col("ds") == F.lit(ds))
        found = batches.get_batch({"dataframe": frame}).validate(suite)
        for result in found.results:
            one = expectations[result.expectation_config.meta["number"]]
            verdicts[f"{ds} {one.name} ({', '.join(one.columns) or 'table'})"] = as_verdict(result)
        frame.unpersist()
    return {"seconds": time.perf_counter() - begun, "verdicts": verdicts}


JUDGES: dict[str, Callable[[Settings, Staged], dict[str, Any]]] = {"validate": ours, "plain GX on Spark": plain}


# ---------------------------------------------------------------- measuring


def measured(judge: str, state: Path, staged: Staged) -> dict[str, Any]:
    """Run one judge in a fresh process: its seconds, those of the whole process, and the most memory it had."""
    told = {
        "table": staged.table,
        "snapshot_id": staged.snapshot_id,
        "rows": {str(d): n for d, n in staged.rows.items()},
    }
    answer = state / "answer.json"
    command = [sys.executable, __file__, "--judge", judge, "--state", str(state), "--staged", json.dumps(told)]
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=answer.with_suffix(".log").open("w"), stderr=subprocess.STDOUT)
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], _memory(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = child.wait()
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"{judge} failed, see {answer.with_suffix('.log')}")
    return {**json.loads(answer.read_text()), "process": time.perf_counter() - begun, "bytes": peak[0]}


def _memory(pid: int) -> int:
    """Bytes that a process and its children hold."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def judge_here(judge: str, state: Path, told: dict[str, Any]) -> None:
    rows = {date.fromisoformat(day): count for day, count in told["rows"].items()}
    answer = JUDGES[judge](Settings(state=state), Staged(told["table"], "benchmark", told["snapshot_id"], rows))
    (state / "answer.json").write_text(json.dumps(answer))


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


def compared(state: Path, rows: int, days: int, repeat: int) -> dict[str, Any]:
    staged = stage(Settings(state=state), rows, days)
    runs: dict[str, list[dict[str, Any]]] = {judge: [] for judge in JUDGES}
    for _ in range(repeat):
        for judge in JUDGES:
            runs[judge].append(measured(judge, state, staged))
    mine = runs["validate"][-1]["verdicts"]
    verdicts, observed = differences(mine, runs["plain GX on Spark"][-1]["verdicts"])
    return {
        "rows": rows,
        "days": days,
        "expectations": len(mine) // days,
        "not met": sum(not met for met, _ in mine.values()),
        "other verdicts": verdicts,
        "other observations": observed,
        "judges": {
            judge: {
                "seconds": [round(one["seconds"], 2) for one in found],
                "process": [round(one["process"], 2) for one in found],
                "bytes": [one["bytes"] for one in found],
            }
            for judge, found in runs.items()
        },
    }


def show(result: dict[str, Any]) -> None:
    print(f"\n{result['rows']:,} rows in {result['days']} day(s), {result['expectations']} expectations a day")
    print(f"{'':22}{'judging':>10}{'ratio':>8}{'process':>10}{'ratio':>8}{'memory':>10}")
    peer = result["judges"]["plain GX on Spark"]
    for judge, found in result["judges"].items():
        shown = ""
        for key in ("seconds", "process"):
            seconds, base = statistics.median(found[key]), statistics.median(peer[key])
            shown += f"{seconds:>8.1f} s{seconds / base:>8.2f}"
        print(f"{judge:22}{shown}{max(found['bytes']) / 2**30:>6.1f} GiB")
    same = "the same verdicts" if not result["other verdicts"] else f"{len(result['other verdicts'])} OTHER VERDICTS"
    print(f"{same}, {result['not met']} not met; counts or values differ in {len(result['other observations'])}")
    for line in [*result["other verdicts"], *result["other observations"]]:
        print(f"  {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 5], help="spread the rows over that many partitions")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    for internal in ("--judge", "--state", "--staged"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        judge_here(given.judge, Path(given.state), json.loads(given.staged))
        return
    results = []
    for days in given.days:
        with tempfile.TemporaryDirectory() as folder:
            results.append(compared(Path(folder), given.rows, days, given.repeat))
        show(results[-1])
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

"""Made-up trips of 18 features with a label, published in a lake of their own, and a model of them; for benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.mlops.ledger.publications import Publication
from include.mlops.local.ports import free_port
from include.mlops.local.services import mlflow_service, spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.load import Specs
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

FIRST = date(2013, 1, 1)
TEXTS = {"carrier": 16, "origin": 3, "dest": 100, "plane": 40, "status": 4, "class": 5}
NUMBERS = [f"number_{n}" for n in range(8)]
WHOLES = ["hour", "weekday", "seats", "distance"]
FEATURES = [*TEXTS, *NUMBERS, *WHOLES]
TIME = pa.timestamp("us", tz="UTC")
TIMES = {"event_time": "timestamp", "available_at": "timestamp", "known_from": "date", "ds": "date"}


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def _group(name: str, publishes: dict[str, str], delay: int) -> FeatureGroup:
    return FeatureGroup.model_validate(
        {
            "name": name,
            "owner": "benchmark",
            "description": "Made-up trips.",
            "keys": ["trip"],
            "event_time": "at",
            "available_at": "at",
            "source": {"format": "parquet", "path": name + "/{ds}", "columns": {"trip": "long", "at": "timestamp"}},
            "publishes": {"trip": "long", **publishes},
            "first_partition": FIRST,
            "schedule": {"start": FIRST + timedelta(days=delay), "delay": f"{delay}d"},
        }
    )


TRIPS = _group(
    "trips",
    {**dict.fromkeys(TEXTS, "string"), **dict.fromkeys(NUMBERS, "double"), **dict.fromkeys(WHOLES, "int")},
    0,
)
OUTCOMES = _group("outcomes", {"late": "boolean"}, 1)


def model(window: int = 7, holdout: int = 1, **changes: Any) -> Model:
    training = {
        "window": f"{window}d",
        "holdout": f"{holdout}d",
        "rounds": 100,
        "threads": 2,
        **changes.pop("training", {}),
    }
    return Model.model_validate(
        {
            "name": "late_trips",
            "owner": "benchmark",
            "task": "binary",
            "features": {"group": "trips", "columns": FEATURES},
            "label": {"group": "outcomes", "expression": "late"},
            "training": training,
            "gate": {"metric": "roc_auc", "minimum": 0.5},
            **changes,
        }
    )


def rows(ds: date, number: int) -> tuple[pa.Table, pa.Table]:
    """A day's trips and their outcomes, the same at each call."""
    random = np.random.default_rng(ds.toordinal())
    columns: dict[str, Any] = {"trip": np.arange(number)}
    codes = {}
    for name, many in TEXTS.items():
        codes[name] = random.integers(0, many, number)
        columns[name] = pa.array([f"{name[:2].upper()}{n:03}" for n in range(many)]).take(pa.array(codes[name]))
    columns |= {name: pa.array(random.normal(size=number), mask=random.random(number) < 0.02) for name in NUMBERS}
    columns |= {name: random.integers(0, 24, number).astype("int32") for name in WHOLES}
    risk = (
        0.2 * codes["carrier"]
        + 0.1 * columns["hour"]
        + np.nan_to_num(columns["number_0"].to_numpy(zero_copy_only=False))
    )
    late = risk + random.normal(size=number) > 4
    noon = pa.array([f"{ds}T12:00:00+00:00"]).cast(TIME)[0]
    times = {
        **{name: pa.repeat(noon, number) for name in ("event_time", "available_at")},
        **{name: pa.repeat(pa.scalar(ds, pa.date32()), number) for name in ("known_from", "ds")},
    }
    return pa.table({**columns, **times}), pa.table({"trip": columns["trip"], "late": late, **times})


def publish(platform: Platform, group: FeatureGroup, table: pa.Table, ds: date) -> None:
    platform.lake.create(group.table, {**group.publishes, **TIMES}, staged=True)
    snapshot = platform.lake.replace(group.table, table, [ds])
    platform.ledger.publications.record(
        [Publication(group.table, ds, table.num_rows, "meaning", "benchmark", snapshot_id=snapshot)]
    )


def landed_trips(state: Path) -> FeatureGroup:
    """As TRIPS, from Parquet that upstream lands, with a transform and expectations: for steps before publication."""
    folder = state / "trips"
    folder.mkdir(exist_ok=True)
    (folder / "transform.py").write_text("def transform(trips, reads):\n    return trips\n")
    columns = {**TRIPS.publishes, "at": "timestamp", "planned_at": "timestamp"}
    source = {"format": "parquet", "path": "trips/{ds}.parquet", "columns": columns}
    expectations = [
        {"expect_column_values_to_not_be_null": {"column": "carrier"}},
        {"expect_column_values_to_be_between": {"column": "hour", "min_value": 0, "max_value": 23}},
        {"expect_column_values_to_be_between": {"column": "number_0", "min_value": -20, "max_value": 20}},
        {"expect_column_values_to_be_in_set": {"column": "origin", "value_set": [f"OR{n:03}" for n in range(3)]}},
        {"expect_column_mean_to_be_between": {"column": "number_1", "min_value": -1, "max_value": 1}},
    ]
    declared = TRIPS.model_dump(mode="json", exclude={"source", "expectations", "schedule"})
    return FeatureGroup.model_validate(
        {
            **declared,
            "available_at": "planned_at",
            "source": source,
            "expectations": expectations,
            "schedule": {"start": FIRST},
        }
    ).model_copy(update={"folder": folder})


def land(platform: Platform, trips: pa.Table, ds: date) -> None:
    """As upstream delivers a day for `landed_trips`."""
    place = Path(platform.settings.landing) / "trips" / f"{ds}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    eve = pa.repeat(pa.scalar(f"{ds - timedelta(days=1)}T12:00:00Z").cast(TIME), trips.num_rows)  # before the cut-off
    landed = trips.select([*TRIPS.publishes, "event_time"]).rename_columns({"event_time": "at"})
    pq.write_table(landed.append_column("planned_at", eve), place, row_group_size=1_000_000)


@contextmanager
def servers(state: Path, *, spark: bool = True) -> Iterator[Settings]:
    """MLflow, and Spark with the lake's catalog, for the settings that `settings_of` reads again."""
    settings = Settings(state=state, mlflow_port=free_port(), spark_port=free_port())
    with Supervisor(state / "logs") as supervisor:
        for service in (mlflow_service, *([spark_service] if spark else [])):
            supervisor.start(service(settings))
        supervisor.wait_until_up()
        (state / "ports.json").write_text(json.dumps([settings.mlflow_port, settings.spark_port]))
        yield settings


def settings_of(state: Path) -> Settings:
    """Those of the `servers` that stand on `state`, in another process."""
    mlflow, spark = json.loads((state / "ports.json").read_text())
    return Settings(state=state, mlflow_port=mlflow, spark_port=spark)


def platform_of(state: Path) -> Platform:
    return Platform(settings_of(state), Specs({"trips": TRIPS, "outcomes": OUTCOMES}, {"late_trips": model()}))

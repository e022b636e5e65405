"""A trained, scored and measured world in which one traveller can be told from all others by a text."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.settings import Settings
from include.mlops.spec.load import Specs
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.train import train
from tests.integration.scoring.world import (
    _TIMES,
    A_DAY,
    DAYS,
    FLIGHTS,
    OUTCOMES,
    V1_AS_OF,
    World,
    day,
    days,
    flights,
    late_flights,
    outcomes,
)

PERSON = "A0PERSON"
"""Below every other carrier, so that it is the least value of each file, which Parquet and Iceberg note unpacked."""
LONE = "A0LONE"
"""A carrier of the last day alone, on which nothing was trained."""
KEYS = {"carrier": PERSON, "flight": "7"}
NOTES = {"ds": "date", "reason": "string", "record": "string", "file": "string", "run_id": "string"}


def with_person(table: pa.Table, ds: date) -> pa.Table:
    """Flight 7 is the person's, and of the last day flight 9 is the lone one's."""
    carriers = table["carrier"].to_pylist()
    carriers[7] = PERSON
    if ds == day(DAYS):
        carriers[9] = LONE
    return table.set_column(table.column_names.index("carrier"), "carrier", pa.array(carriers))


def make_world(state: Path, mlflow_url: str, warehouse: str = "") -> World:
    """Trained as of day 15, days 16 to 18 scored and measured, a quarantine, and a day that was published twice."""
    model = late_flights(f"late_{uuid.uuid4().hex[:8]}")
    specs = Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {model.name: model})
    settings = Settings(state=state, mlflow_url=mlflow_url, sample_rows=2000, warehouse_url=warehouse)
    made = World(Platform(settings, specs), model)
    lake, every = made.platform.lake, list(days(1, DAYS))
    for group in (FLIGHTS, OUTCOMES):
        lake.create(group.table, {**group.publishes, **_TIMES})
        _unpacked(made, group.table)
    made.publish(pa.concat_tables([with_person(flights(ds), ds) for ds in every]), every)
    made.publish(pa.concat_tables([with_person(outcomes(ds), ds) for ds in every]), every, OUTCOMES)
    train(made.platform, model, day(V1_AS_OF), "training")
    made.live(1, V1_AS_OF + 1)
    made.score(16, 18)
    made.measure(16, 17)
    made.publish(with_person(flights(day(20), wind=[3.0] * A_DAY), day(20)), [day(20)])
    _set_aside(made)
    return made


def _unpacked(world: World, table: str) -> None:
    with world.platform.lake.table(table).transaction() as transaction:
        transaction.set_properties(
            {"write.avro.compression-codec": "null", "write.parquet.compression-codec": "uncompressed"}
        )


def _set_aside(world: World) -> None:
    lake, table = world.platform.lake, f"quarantine.{FLIGHTS.name}"
    lake.create(table, NOTES)
    _unpacked(world, table)
    records = [
        f'{{"carrier":"{PERSON}","flight":"7","hour":"x"}}',
        f"{PERSON},7,unreadable",
        f'{{"carrier":"{PERSON}X","flight":"7"}}',
        '{"carrier":"UA","flight":"7"}',
    ]
    rows = {"ds": [day(16)] * 4, "reason": ["malformed"] * 4, "record": records, "file": ["f"] * 4, "run_id": ["r"] * 4}
    kinds = [("ds", pa.date32()), *((name, pa.string()) for name in list(NOTES)[1:])]
    lake.replace(table, pa.table(rows, schema=pa.schema(kinds)), [day(16)])


@pytest.fixture
def world(tmp_path: Path, mlflow_server: Settings) -> World:
    return make_world(tmp_path, mlflow_server.mlflow_url)

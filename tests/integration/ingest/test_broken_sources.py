"""Tables and databases that cannot be read: each is named, nothing is published, and nobody sees a traceback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.errors import MlopsError, PartitionsFailed
from tests.integration.ingest.bundle import COLUMNS, ZONE, Bundle, csv, day, readings
from tests.integration.ingest.kinds import Database, LakeTable

pytestmark = pytest.mark.slow
JDBC = "format: jdbc\n  connection: shop\n  query: \"select * from orders where day = '{ds}'\""
SECRET = "hunter2"


def _iceberg(table: str, column: str = "at") -> str:
    return f"format: iceberg\n  table: {table}\n  day: {column}"


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    return new_bundle()


@pytest.fixture(scope="module")
def upstream(bundle: Bundle) -> LakeTable:
    made = LakeTable(bundle)
    made.put(day(1), readings(day(1)))
    return made


def _said(bundle: Bundle) -> str:
    """What the failed run says of its day; nothing of it is published."""
    ds = day(1)
    with pytest.raises(MlopsError) as caught:
        bundle.run(bundle.readings, ds)
    assert bundle.published(bundle.readings, ds) == {}
    return caught.value.failures[ds] if isinstance(caught.value, PartitionsFailed) else caught.value.line()


@pytest.mark.parametrize(
    ("table", "column", "says"),
    [
        (
            "upstream.nothing",
            "at",
            "UnreadableSource: expected the table upstream.nothing in the lake's catalog, found none;",
        ),
        (
            "",
            "att",
            "UnreadableSource: expected the day column of the lake table {}, found unknown column 'att'; did",
        ),
        ("", "sensor", "UnreadableSource: expected a date or timestamp in sensor, the day column of the lake table {}"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(
    bundle: Bundle, upstream: LakeTable, table: str, column: str, says: str
) -> None:
    bundle.write_readings(source=_iceberg(table or upstream.table, column))
    assert _said(bundle).startswith(says.format(upstream.table))


@pytest.mark.parametrize("kind", ["date", "timestamp without a zone"])
def test_the_day_of_a_table_may_be_a_date_or_a_local_time(bundle: Bundle, upstream: LakeTable, kind: str) -> None:
    """The hours around midnight: those of New York count, for which 23:30 is the next day in London."""
    catalog, name = bundle.platform().lake.catalog, f"{upstream.table}_{kind.split(maxsplit=1)[0]}"
    at = [dt.datetime.fromisoformat(f"2013-03-{time}") for time in ("01 23:30", "02 00:00", "02 23:59", "03 00:00")]
    table = pa.table(
        {
            "sensor": ["a", "b", "c", "d"],
            "slot": pa.array(range(4), pa.int32()),
            "at": pa.array([time.replace(tzinfo=ZONE) for time in at], pa.timestamp("us", "UTC")),
            "value": [1.0] * 4,
            "note": ["x"] * 4,
            "known_at": pa.array([time.replace(tzinfo=ZONE) for time in at], pa.timestamp("us", "UTC")),
            "local": pa.array([time.date() for time in at], pa.date32()) if kind == "date" else at,
        }
    )
    catalog.create_table(name, table.schema).append(table)
    bundle.write_readings(source=_iceberg(name, "local"), version=2 if kind == "date" else 3)
    source = bundle.platform().source(bundle.group(bundle.readings))
    assert [source.missing(day(number)) is None for number in (1, 2, 3, 4)] == [True, True, True, False]
    bundle.run(bundle.readings, day(2))
    assert [row["sensor"] for row in bundle.rows(bundle.readings, day(2))] == ["b", "c"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "SettingsError: MLOPS_SOURCE_SHOP_URL: expected the address of the connection 'shop'"),
        (
            "sqlite:////nowhere/shop.db",
            "ServiceUnavailable: the database of the connection 'shop' (sqlite at /nowhere/shop.db",
        ),
        (
            "sqlite:///{}/empty.db",
            "UnreadableSource: source.query of {} failed on the connection 'shop': no such table",
        ),
        (
            f"postgresql+none://mlops:{SECRET}@127.0.0.1:9/shop",
            "SettingsError: MLOPS_SOURCE_SHOP_URL: the Python driver",
        ),
    ],
)
def test_a_database_that_cannot_be_read_is_named_in_one_line_without_its_password(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, url: str, says: str
) -> None:
    bundle.write_readings(source=JDBC)
    bundle.settings.state.mkdir(exist_ok=True)
    (bundle.settings.state / "empty.db").touch()
    address = url.replace("{}", str(bundle.settings.state))
    environment = {"MLOPS_SPECS": bundle.settings.specs, "MLOPS_STATE": bundle.settings.state}
    environment |= {"MLOPS_CATALOG_URL": bundle.settings.catalog, "MLOPS_SOURCE_SHOP_URL": address}
    told = {name: str(value) for name, value in environment.items()}
    result = CliRunner().invoke(
        app, ["ingest", bundle.readings, "--from", "2013-03-01", "--to", "2013-03-01"], env=told
    )
    assert result.exit_code == 1
    assert says.replace("{}", bundle.readings) in result.stderr
    assert len(result.stderr.splitlines()) <= 2, result.stderr
    assert SECRET not in result.output
    assert bundle.published(bundle.readings, day(1)) == {}


def test_a_value_that_a_database_keeps_in_a_column_of_another_type_is_set_aside(
    new_bundle: Callable[[], Bundle],
) -> None:
    """sqlite keeps a text in a column of integers; a driver asked for a number would make it 0."""
    bundle = new_bundle()
    upstream = Database(bundle, f"sqlite:///{bundle.settings.state}/shop.db")
    bundle.write_readings(source=upstream.source)
    upstream.put(day(1), readings(day(1)))
    upstream.run(f"update {upstream.table} set value = 'much' where sensor = 'a' and slot = 0")
    upstream.run(f"update {upstream.table} set value = 0.1 + 0.2 where sensor = 'b' and slot = 0")
    bundle.run(bundle.readings, day(1))
    [aside] = bundle.quarantine(bundle.readings, day(1))
    assert (aside["reason"], aside["file"]) == ("value is not of type double", "jdbc:shop/2013-03-01")
    assert bundle.rows(bundle.readings, day(1))[1]["value"] == 0.1 + 0.2, "to its last bit"


def _alerts(bundle: Bundle) -> list[tuple[str, Any, dict[str, str]]]:
    return [(one.kind, one.ds, dict(one.numbers)) for one in bundle.platform().ledger.incidents.list_outbox()]


def test_a_new_column_alerts_at_the_frontier_alone_and_stands_in_the_report(new_bundle: Callable[[], Bundle]) -> None:
    bundle = new_bundle()
    bundle.write_readings()
    bundle.land(bundle.readings, day(1), csv(readings(day(1))))
    for number in (2, 3, 4):
        rows = [{**row, "unit": "C"} for row in readings(day(number))]
        bundle.land(bundle.readings, day(number), csv(rows, ["unit", *COLUMNS]))
    bundle.run(bundle.readings, day(1), day(3))
    [(kind, ds, numbers)] = _alerts(bundle)
    assert (kind, ds, list(numbers)) == ("validation", day(3), ["source column to be declared (unit)"])
    assert f"the column 'unit' in {bundle.path(bundle.readings, day(3))}, not so on {day(1)}; declare" in str(numbers)
    page = bundle.settings.reports / "validation" / bundle.readings / "2013-03-01_2013-03-03.html"
    assert page.read_text().count("expect_source_column_to_be_declared") == 2
    bundle.run(bundle.readings, day(2), run_id="backfill")
    assert len(_alerts(bundle)) == 1, "behind the frontier nothing is told"
    bundle.write_readings(drift="{added: ignore}")
    bundle.run(bundle.readings, day(4))
    assert len(_alerts(bundle)) == 1

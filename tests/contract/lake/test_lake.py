"""Tables in process: whole days, tags, what is not there, and where the catalog lies."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyiceberg.table import Table

from include.mlops.errors import MlopsError, ServiceUnavailable
from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval

A, B, C = date(2013, 3, 1), date(2013, 3, 2), date(2013, 3, 3)
ALL = Interval(A, C)
NAME = "predictions.late"


@pytest.fixture
def lake(settings: Settings) -> Lake:
    made = Lake(settings)
    made.create(NAME, {"key": "string", "score": "double", "ds": "date"})
    return made


def _rows(**days: str) -> pa.Table:
    ds = {"a": A, "b": B, "c": C}
    made = [{"key": key, "score": 0.5, "ds": ds[day]} for day, keys in days.items() for key in keys]
    return pa.Table.from_pylist(made, pa.schema([("key", pa.string()), ("score", pa.float64()), ("ds", pa.date32())]))


def _seen(lake: Lake, snapshot_id: int | None = None) -> set[tuple[str, int]]:
    return {(row["key"], row["ds"].day) for row in lake.read(NAME, ALL, snapshot_id=snapshot_id).to_pylist()}


def test_replacing_days_leaves_the_others_and_empties_those_without_rows(lake: Lake) -> None:
    lake.replace(NAME, _rows(a="xy", b="z", c="w"), [A, B, C])
    snapshot = lake.replace(NAME, _rows(a="v"), [A, B])
    assert _seen(lake) == {("v", 1), ("w", 3)}
    assert lake.snapshot(NAME) == snapshot


def test_replacing_by_the_same_rows_twice_doubles_nothing(lake: Lake) -> None:
    for _ in range(2):
        lake.replace(NAME, _rows(a="xy"), [A])
    assert _seen(lake) == {("x", 1), ("y", 1)}
    assert lake.read(NAME, ALL).num_rows == 2


def test_a_table_that_somebody_else_made_is_not_written_to(settings: Settings) -> None:
    lake = Lake(settings)
    lake.create_namespace("predictions.theirs")
    lake.catalog.create_table("predictions.theirs", pa.schema([("key", pa.string())]))
    with pytest.raises(MlopsError, match=r"predictions\.theirs: expected a table that was made here, found .*theirs"):
        lake.create("predictions.theirs", {"key": "string", "score": "double", "ds": "date"})


def test_writers_at_once_all_get_their_days_in(lake: Lake, settings: Settings) -> None:
    """Each on a lake of its own, as tasks are; the catalog lets one commit at a time."""
    errors: list[Exception] = []

    def write(day: date, letter: str) -> None:
        try:
            Lake(settings).replace(NAME, _rows(**{letter: letter}), [day])
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=write, args=pair) for pair in ((A, "a"), (B, "b"), (C, "c"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, _seen(lake)) == ([], {("a", 1), ("b", 2), ("c", 3)})


def test_a_day_that_another_writer_replaces_meanwhile_is_replaced_again(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.replace(NAME, _rows(a="x"), [A])
    load, loads = lake.table, []

    def overtaken(name: str) -> Table:
        loaded = load(name)
        loads.append(loaded)
        if len(loads) == 1:
            Lake(settings).replace(name, _rows(a="t"), [A])
        return loaded

    monkeypatch.setattr(lake, "table", overtaken)
    lake.replace(NAME, _rows(a="o"), [A])

    assert len(loads) == 2
    assert _seen(lake) == {("o", 1)}


def test_a_tag_keeps_what_was_there_when_it_was_set_first(lake: Lake) -> None:
    lake.replace(NAME, _rows(a="x"), [A])
    tagged = lake.tag(NAME, "train-1")
    lake.replace(NAME, _rows(a="y"), [A])
    assert lake.tag(NAME, "train-1") == lake.snapshot_of(NAME, "train-1") == tagged
    assert (_seen(lake, tagged), _seen(lake)) == ({("x", 1)}, {("y", 1)})


def test_batches_and_tables_hold_the_days_and_columns_asked_for(lake: Lake) -> None:
    lake.replace(NAME, _rows(a="x", b="y", c="z"), [A, B, C])
    assert lake.read(NAME, Interval(A, B), ["ds", "key"]).column_names == ["ds", "key"]
    batches = list(lake.batches(NAME, Interval(B, C), ["key"]))
    assert sorted(key for batch in batches for key in batch.column("key").to_pylist()) == ["y", "z"]
    empty = list(lake.batches(NAME, Interval.day("2012-01-01")))
    assert [batch.num_rows for batch in empty][:1] == [0]
    assert empty[0].schema.names == ["key", "score", "ds"]


def test_what_is_not_there_is_said(lake: Lake) -> None:
    assert (lake.exists(NAME), lake.exists("predictions.none"), lake.snapshot(NAME)) == (True, False, None)
    with pytest.raises(MlopsError, match=r"expected the table predictions.none in the lake, found none: nothing was"):
        lake.table("predictions.none")
    with pytest.raises(MlopsError, match=r"expected published rows in predictions.late, found none: nothing to tag"):
        lake.tag(NAME, "early")
    lake.replace(NAME, _rows(a="x"), [A])
    with pytest.raises(MlopsError, match=r"expected the tag early on predictions.late, found main"):
        lake.snapshot_of(NAME, "early")


def test_a_remote_catalog_and_warehouse_make_no_folders_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    secret = "postgresql+psycopg://me:secret@127.0.0.1:1/lake"
    lake = Lake(Settings(state=tmp_path / "state", catalog_url=secret, warehouse_url="s3://bucket/deep/down"))
    with pytest.raises(Exception, match=r"."):  # nobody listens there, or no driver is installed
        lake.exists(NAME)
    assert list(tmp_path.iterdir()) == []


def test_the_folders_of_a_local_lake_are_made_whatever_their_names(tmp_path: Path) -> None:
    lake = Lake(Settings(state=tmp_path / "two words, 100%"))
    lake.create(NAME, {"key": "string", "score": "double", "ds": "date"})
    lake.replace(NAME, _rows(a="x"), [A])
    assert _seen(lake) == {("x", 1)}


def test_a_catalog_that_does_not_answer_is_worth_trying_again(lake: Lake, settings: Settings) -> None:
    database = settings.state / "lake" / "catalog.db"
    database.unlink()
    database.mkdir()
    lake.catalog.engine.dispose()  # type: ignore[attr-defined]
    with pytest.raises(ServiceUnavailable, match="the lake's catalog did not answer: unable to open database file"):
        lake.exists(NAME)


def test_batches_come_one_after_another_and_never_hold_all_days_at_once(lake: Lake) -> None:
    many, name = 100_000, "features.wide"
    days = [date(2013, 4, number) for number in range(1, 21)]
    random = np.random.default_rng(7)
    lake.create(name, {"one": "double", "two": "double", "ds": "date"})
    for ds in days:
        values = {column: random.random(many) for column in ("one", "two")}
        lake.replace(name, pa.table({**values, "ds": pa.array([ds] * many, pa.date32())}), [ds])
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for batch in lake.batches(name, Interval(days[0], days[-1])):
        most, rows = max(most, pa.total_allocated_bytes() - before), rows + batch.num_rows
    assert rows == len(days) * many
    assert most < rows * 20 / 2, f"{most:,} bytes of {rows * 20:,} were held at once"


def test_another_s3_than_amazons_is_told_to_pyiceberg(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Settings(**{**settings.model_dump(), "warehouse_url": "s3://bucket/lake"})
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    assert "s3.endpoint" not in Lake(elsewhere).catalog.properties
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert Lake(elsewhere).catalog.properties["s3.endpoint"] == "http://127.0.0.1:9000"

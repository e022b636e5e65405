"""The wait of an ingest DAG for tables and queries: the same trigger as for files."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from include.mlops.errors import UnreadableSource
from include.mlops.orchestration.waiting import PartitionReady, lacking
from include.mlops.settings import ROOT

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

DS = "2013-03-01"
SOURCES = {
    "orders": {
        "format": "jdbc",
        "connection": "shop",
        "query": "select * from orders where at like '{ds}%'",
        "ready": "select count(*) from loaded where day = '{ds}'",
    },
    "broken": {"format": "jdbc", "connection": "shop", "query": "select * from nothing where at like '{ds}%'"},
    "visits": {"format": "iceberg", "table": "upstream.visits", "day": "at"},
}


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """Groups of those sources, an empty lake and a shop that keeps nothing yet."""
    from include.mlops.steps.platform import Platform

    for name, source in SOURCES.items():
        folder = tmp_path / "include" / "feature_groups" / name
        folder.mkdir(parents=True)
        (folder / "transform.py").write_text("def transform(rows, reads):\n    return rows\n")
        (folder / "feature_group.yaml").write_text(
            json.dumps(
                {
                    "name": name,
                    "owner": "team",
                    "description": "made up",
                    "keys": ["key"],
                    "event_time": "at",
                    "available_at": "at",
                    "source": {**source, "columns": {"key": "string", "at": "timestamp"}},
                    "publishes": {"key": "string"},
                    "first_partition": DS,
                    "schedule": {"start": DS},
                }
            )
        )
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "include"))
    monkeypatch.setenv("MLOPS_SOURCE_SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    platform = Platform()
    with closing(platform.ledger):
        yield platform


def _shop(tmp_path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as shop:
        for statement in statements:
            shop.execute(statement)


def _fired(group: str, meanwhile: Any) -> list[str]:
    """What the trigger says, once `meanwhile` ran while it waited."""

    async def first() -> list[str]:
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        waiting = asyncio.ensure_future(anext(aiter(PartitionReady(group, DS, until, 0.05).run())))
        await asyncio.sleep(1)
        assert not waiting.done(), "it fired before anything was there"
        await asyncio.to_thread(meanwhile)
        event: list[str] = (await asyncio.wait_for(waiting, 30)).payload
        return event

    return asyncio.run(first())


@pytest.mark.usefixtures("rooms")
def test_fires_once_the_database_says_that_the_day_is_whole(tmp_path: Path) -> None:
    """The shop is not even there at first, then it has rows of the day, and only then all of them."""

    def load() -> None:
        _shop(tmp_path, "create table orders (key text, at text)", "create table loaded (day text)")
        _shop(tmp_path, f"insert into orders values ('a', '{DS} 06:00:00')", f"insert into loaded values ('{DS}')")

    assert _fired("orders", load) == []


def test_fires_once_the_table_of_the_lake_has_rows_of_the_day(rooms: Platform) -> None:
    def write() -> None:
        at = [datetime(2013, 3, 1, 23, 59, tzinfo=UTC)]
        rows = pa.table({"key": ["a"], "at": pa.array(at, pa.timestamp("us", "UTC"))})
        rooms.lake.catalog.create_namespace_if_not_exists("upstream")
        rooms.lake.catalog.create_table("upstream.visits", rows.schema).append(rows)

    assert _fired("visits", write) == []
    assert lacking(rooms, "visits", "2013-03-02") == ["rows of 2013-03-02 in the lake table upstream.visits"]


def test_a_query_that_fails_is_not_waited_for(rooms: Platform, tmp_path: Path) -> None:
    _shop(tmp_path, "create table orders (key text, at text)")
    with pytest.raises(UnreadableSource, match=r"source\.query of broken failed on the connection 'shop'"):
        lacking(rooms, "broken", DS)


@pytest.mark.usefixtures("rooms")
@pytest.mark.parametrize("group", ["orders", "visits"])
def test_looking_imports_no_spark(group: str) -> None:
    """The triggerer is one small process for all waits."""
    code = (
        "import sys\nfrom include.mlops.orchestration.waiting import lacking_so_far\n"
        "from include.mlops.steps.platform import Platform\n"
        f"assert lacking_so_far(Platform(), {group!r}, {DS!r})\n"
        "print([name for name in ('pyspark', 'mlflow', 'pandas', 'great_expectations') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

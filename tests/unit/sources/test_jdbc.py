"""A query as a source: when its day has arrived, how it fails, and what it never tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from include.mlops.compute.jdbc import jdbc_address
from include.mlops.errors import EmptySource, MlopsError, ServiceUnavailable, SettingsError, UnreadableSource
from include.mlops.settings import Settings, load_settings
from include.mlops.sources.jdbc import JdbcQuery
from include.mlops.spec.feature_group import FeatureGroup

DS, LATER = date(2013, 3, 1), date(2013, 3, 2)
SECRET = "hunter2 of shop"
QUERY = "select key, at from orders where at like '{ds}%' -- of one day"
Open = Callable[..., JdbcQuery]


def _group(**source: Any) -> FeatureGroup:
    return FeatureGroup.model_validate(
        {
            "name": "orders",
            "owner": "team",
            "description": "made up",
            "keys": ["key"],
            "event_time": "at",
            "available_at": "at",
            "source": {
                "format": "jdbc",
                "connection": "shop",
                "query": QUERY,
                "columns": {"key": "string", "at": "timestamp"},
                **source,
            },
            "publishes": {"key": "string"},
            "first_partition": DS,
            "schedule": {"start": DS},
        }
    )


@pytest.fixture
def shop(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "the shop.db", isolation_level=None)
    connection.execute("create table orders (key text, at text)")
    connection.execute("create table loaded (day text, rows integer)")
    connection.execute("insert into orders values ('a', '2013-03-01 06:00:00')")
    return connection


@pytest.fixture
def source(shop: sqlite3.Connection, tmp_path: Path) -> Open:
    """Opens the source of a group on that shop, or at another address."""

    def open_(url: str = f"sqlite:///{tmp_path}/the shop.db", **keys: Any) -> JdbcQuery:
        return JdbcQuery(Settings(source_urls={"shop": SecretStr(url)}), _group(**keys))

    return open_


def test_a_day_has_arrived_once_the_query_gives_a_row(source: Open, shop: sqlite3.Connection) -> None:
    assert source().missing(DS) is None
    assert source().missing(LATER) == "rows of the query to shop for 2013-03-02"
    shop.execute("insert into orders values ('b', '2013-03-02 06:00:00')")
    assert source().missing(LATER) is None


@pytest.mark.parametrize(
    "ready", ["select rows from loaded where day = '{ds}'", "select count(*) from loaded where day = '{ds}';"]
)
def test_a_day_is_whole_once_the_ready_query_says_so(source: Open, shop: sqlite3.Connection, ready: str) -> None:
    told = source(ready=ready)
    assert told.missing(DS) == "the query to shop for 2013-03-01, which source.ready says is not whole"
    with pytest.raises(
        EmptySource, match=r"expected the query to shop for 2013-03-01 to be whole, found .* no; try later"
    ):
        told.look(DS)
    shop.execute("insert into loaded values ('2013-03-01', 1)")
    assert told.missing(DS) is None
    assert list(told.look(DS).columns) == ["key", "at"]


def test_a_day_without_rows_is_empty(source: Open) -> None:
    with pytest.raises(EmptySource, match=r"rows of the query to shop for 2013-03-02, found none; is source\.query of"):
        source().look(LATER)


def test_looking_takes_no_lock_and_makes_no_file(source: Open, shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("begin immediate")
    assert source().missing(DS) is None
    shop.execute("rollback")
    with pytest.raises(ServiceUnavailable, match=r"connection 'shop' \(sqlite at .*none\.db, MLOPS_SOURCE_SHOP_URL\)"):
        source(f"sqlite:///{tmp_path}/none.db").missing(DS)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            {"query": "select nope from orders where at = '{ds}'"},
            "source.query of orders failed on the connection 'shop': no such column: nope",
        ),
        ({"query": "select * from order_s where at = '{ds}'"}, "no such table: order_s; correct the query, or restore"),
        ({"query": "selec '{ds}'"}, "source.query of orders failed"),
        ({"ready": "select '{ds}'"}, "expected true, false or a count from source.ready of orders, found '2013-03-01'"),
        ({"ready": "select nope('{ds}')"}, "source.ready of orders failed"),
    ],
)
def test_a_query_that_fails_is_named_and_not_tried_again(source: Open, keys: dict[str, str], says: str) -> None:
    for ask in (JdbcQuery.look, JdbcQuery.missing):
        with pytest.raises(UnreadableSource) as caught:
            ask(source(**keys), DS)
        assert says in str(caught.value)
        assert not caught.value.transient


def test_a_connection_without_an_address_is_named_with_those_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SOURCE_STORE_2_URL", "sqlite:////data/store.db")
    monkeypatch.setenv("MLOPS_SOURCE_EMPTY_URL", "")
    with pytest.raises(SettingsError, match=r"^MLOPS_SOURCE_SHOP_URL: .* connection 'shop'.* that are set: store_2$"):
        JdbcQuery(load_settings(), _group())
    assert load_settings().source_url("store_2") == "sqlite:////data/store.db"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+nodriver://mlops:{SECRET}@127.0.0.1:9/shop",
        f"postgresql+pg8000://mlops:{SECRET}@127.0.0.1:9/shop",
        f"mysql://mlops:{SECRET}@127.0.0.1:9/shop",
        f"//mlops:{SECRET}@127.0.0.1:9/shop",
        f"postgresql://mlops:{SECRET}@/shop",
    ],
)
def test_no_error_shows_the_password(source: Open, url: str) -> None:
    with pytest.raises(MlopsError) as caught:
        source(url).look(DS)
    error: BaseException | None = caught.value
    assert "MLOPS_SOURCE_SHOP_URL" in str(error)
    assert SECRET not in str(error)
    assert error.__suppress_context__ or error.__context__ is None, "a traceback shows nothing either"


def test_settings_do_not_show_the_password() -> None:
    settings = Settings(source_urls={"shop": SecretStr(f"postgresql://mlops:{SECRET}@db/shop")})
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump())


def test_a_password_goes_to_spark_apart_from_the_address() -> None:
    address = jdbc_address("postgresql+psycopg://mlops:p%40ss@db:5433/shop?sslmode=require", "X", sqlite="")
    assert (address.driver, address.url) == ("org.postgresql.Driver", "jdbc:postgresql://db:5433/shop?sslmode=require")
    assert address.login == {"user": "mlops", "password": "p@ss"}
    assert "p@ss" not in repr(address)

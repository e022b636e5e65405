"""Rows of a day in a table of somebody else's database: what is there after each export, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from include.mlops.errors import ExportFailed, MlopsError, ServiceUnavailable, SettingsError
from include.mlops.exports import database
from include.mlops.exports.database import DayRows

KEYS = ("carrier", "flight")
MONDAY, TUESDAY = date(2013, 4, 1), date(2013, 4, 2)
AT = datetime(2013, 4, 1, 5, 0, 0, 123456, tzinfo=UTC)


def rows(ds: date, scores: dict[tuple[str, int], float], version: int = 1, **more: Any) -> pa.Table:
    carriers, numbers = [carrier for carrier, _ in scores], [number for _, number in scores]
    columns = {
        "carrier": pa.array(carriers, pa.string()),
        "flight": pa.array(numbers, pa.int64()),
        "score": pa.array(scores.values(), pa.float64()),
        "model_version": pa.array([version] * len(scores), pa.int32()),
        "scored_at": pa.array([AT] * len(scores), pa.timestamp("us", tz="UTC")),
        "in_sample": pa.array([False] * len(scores), pa.bool_()),
        "ds": pa.array([ds] * len(scores), pa.date32()),
    }
    return pa.table({**columns, **more})


TWO = {("AA", 1): 0.1, ("UA", 2**40): 0.30000000000000004}


@pytest.fixture
def target(url: str) -> DayRows:
    return DayRows("crm", SecretStr(url), "scores")


@pytest.fixture
def crm(url: str) -> Iterator[Connection]:
    """The database as its owner sees it."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def held(crm: Connection, columns: str = "*") -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM scores ORDER BY ds, carrier, flight"
    return [tuple(row) for row in crm.execute(text(query))]


def scores(crm: Connection) -> list[tuple[Any, ...]]:
    return [(str(ds), *rest) for ds, *rest in held(crm, "ds, carrier, flight, score, model_version")]


def test_the_table_is_made_with_every_column_and_value(target: DayRows, crm: Connection) -> None:
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)

    assert scores(crm) == [("2013-04-01", "AA", 1, 0.1, 1), ("2013-04-01", "UA", 2**40, 0.30000000000000004, 1)]
    ((scored_at, in_sample),) = set(held(crm, "scored_at, in_sample"))
    assert not in_sample
    if isinstance(scored_at, str):  # sqlite has no times: text, in UTC
        assert scored_at == "2013-04-01 05:00:00.123456"
    else:
        assert scored_at == AT


def test_exporting_twice_leaves_the_same_rows(target: DayRows, crm: Connection) -> None:
    for _ in range(2):
        target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
        target.replace(TUESDAY, rows(TUESDAY, {("AA", 1): 0.5}), KEYS)
    assert len(held(crm)) == 3


def test_another_version_replaces_the_scores_of_its_day_alone(target: DayRows, crm: Connection) -> None:
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    target.replace(TUESDAY, rows(TUESDAY, {("AA", 1): 0.5}), KEYS)
    target.replace(MONDAY, rows(MONDAY, dict.fromkeys(TWO, 0.7), version=2), KEYS)
    assert [(ds, score, version) for ds, _, _, score, version in scores(crm)] == [
        ("2013-04-01", 0.7, 2),
        ("2013-04-01", 0.7, 2),
        ("2013-04-02", 0.5, 1),
    ]


def test_a_row_that_is_not_published_any_more_is_deleted(target: DayRows, crm: Connection) -> None:
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    target.replace(TUESDAY, rows(TUESDAY, TWO), KEYS)
    target.replace(MONDAY, rows(MONDAY, {("AA", 1): 0.2}), KEYS)
    assert [(ds, carrier, score) for ds, carrier, _, score, _ in scores(crm)] == [
        ("2013-04-01", "AA", 0.2),
        ("2013-04-02", "AA", 0.1),
        ("2013-04-02", "UA", 0.30000000000000004),
    ]


def test_a_day_that_became_empty_has_no_rows(target: DayRows, crm: Connection) -> None:
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    target.replace(MONDAY, rows(MONDAY, {}), KEYS)
    assert held(crm) == []


def test_more_rows_than_one_round_trip_carries(
    target: DayRows, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BATCH", 10)
    target.replace(MONDAY, rows(MONDAY, {("AA", number): 0.1 for number in range(35)}), KEYS)
    target.replace(MONDAY, rows(MONDAY, {("AA", number): 0.2 for number in range(5, 30)}), KEYS)
    assert [(flight, score) for _, _, flight, score, _ in scores(crm)] == [(number, 0.2) for number in range(5, 30)]


def test_what_the_owner_added_to_the_table_stays(target: DayRows, crm: Connection) -> None:
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    crm.execute(text("ALTER TABLE scores ADD COLUMN called TEXT"))
    crm.execute(text("UPDATE scores SET called = 'yes' WHERE carrier = 'AA'"))
    target.replace(MONDAY, rows(MONDAY, dict.fromkeys(TWO, 0.9)), KEYS)
    assert held(crm, "carrier, score, called") == [("AA", 0.9, "yes"), ("UA", 0.9, None)]


MADE_BY_HAND = """
CREATE TABLE scores (
    id {id}, carrier VARCHAR(10) NOT NULL, flight BIGINT NOT NULL, score DOUBLE PRECISION, model_version INTEGER,
    scored_at TIMESTAMP WITH TIME ZONE, in_sample BOOLEAN, ds DATE NOT NULL, UNIQUE (ds, carrier, flight)
)
"""


def _made_by_hand(crm: Connection, old: str = "", new: str = "") -> None:
    lite = crm.dialect.name == "sqlite"
    statement = MADE_BY_HAND.format(id="INTEGER PRIMARY KEY" if lite else "SERIAL PRIMARY KEY")
    assert old in statement
    statement = statement.replace(old, new) if old else statement
    crm.execute(text(statement.replace("TIMESTAMP WITH TIME ZONE", "DATETIME") if lite else statement))


def test_a_table_made_by_hand_is_filled_where_it_fits(target: DayRows, crm: Connection) -> None:
    _made_by_hand(crm)
    for score in (0.1, 0.2):
        target.replace(MONDAY, rows(MONDAY, dict.fromkeys(TWO, score)), KEYS)
    assert [score for *_, score, _ in scores(crm)] == [0.2, 0.2]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("model_version INTEGER,", "", "expected the column model_version INTEGER, found none"),
        ("score DOUBLE PRECISION", "score TEXT", r"expected the column score of type DOUBLE( PRECISION)?, found TEXT"),
        ("UNIQUE (ds, carrier, flight)", "UNIQUE (carrier, flight)", r"unique constraint \(ds, carrier, flight\)"),
    ],
)
def test_a_table_that_cannot_hold_the_rows_is_refused_with_what_to_do_and_stays(
    target: DayRows, crm: Connection, old: str, new: str, says: str
) -> None:
    _made_by_hand(crm, old, new)
    with pytest.raises(ExportFailed, match=rf"scores does not fit: .*{says}.* Nothing was written; change it so"):
        target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    assert held(crm) == []


def test_a_time_without_a_zone_is_refused_where_the_session_would_decide_it(target: DayRows, crm: Connection) -> None:
    if crm.dialect.name == "sqlite":
        pytest.skip("sqlite keeps no time zones")
    _made_by_hand(crm, "TIMESTAMP WITH TIME ZONE", "TIMESTAMP")
    with pytest.raises(ExportFailed, match="scored_at of type TIMESTAMP WITH TIME ZONE, found TIMESTAMP"):
        target.replace(MONDAY, rows(MONDAY, TWO), KEYS)


def test_a_row_that_the_database_refuses_leaves_the_day_as_it_was(target: DayRows, crm: Connection) -> None:
    _made_by_hand(crm, "score DOUBLE PRECISION", "score DOUBLE PRECISION CHECK (score < 0.5)")
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    before = held(crm)
    with pytest.raises(ExportFailed, match=r"the database 'crm' refused the rows: .*nothing was written"):
        target.replace(MONDAY, rows(MONDAY, {("AA", 1): 0.4, ("ZZ", 1): 0.6}), KEYS)
    assert held(crm) == before


def test_two_rows_of_one_entity_are_refused(target: DayRows, crm: Connection) -> None:
    twice = pa.concat_tables([rows(MONDAY, TWO), rows(MONDAY, TWO)])
    with pytest.raises(ExportFailed, match="one row for each carrier, flight, found 2 more"):
        target.replace(MONDAY, twice, KEYS)


def test_a_column_that_no_database_has_is_refused(target: DayRows) -> None:
    with pytest.raises(ExportFailed, match="columns of plain values for a database, found chances of type list"):
        target.replace(MONDAY, rows(MONDAY, {("AA", 1): 0.1}, chances=pa.array([[0.1, 0.9]])), KEYS)


def test_a_locked_table_is_a_service_that_may_answer_later(
    target: DayRows, crm: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 1)
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    crm.execute(text("BEGIN IMMEDIATE" if crm.dialect.name == "sqlite" else "BEGIN"))
    crm.execute(text("DELETE FROM scores"))
    with pytest.raises(ServiceUnavailable, match=r"the database 'crm' did not answer: .*lock"):
        target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    crm.execute(text("ROLLBACK"))
    target.replace(MONDAY, rows(MONDAY, TWO), KEYS)


def test_a_database_that_is_not_there_is_a_service_that_may_answer_later(tmp_path: Path) -> None:
    target = DayRows("crm", SecretStr(f"sqlite:///{tmp_path}/no/such/folder/crm.db"), "scores")
    with pytest.raises(ServiceUnavailable, match="unable to open database file"):
        target.replace(MONDAY, rows(MONDAY, TWO), KEYS)


PASSWORD = "s3cret-Word"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql+psycopg://me:{PASSWORD}@db:port/crm", "expected an SQLAlchemy URL such as"),
        (f"me:{PASSWORD}@db/crm", "expected an SQLAlchemy URL such as"),
        (f"mysql://me:{PASSWORD}@db/crm", "expected postgresql or sqlite, found mysql"),
        (f"postgresql+nosuch://me:{PASSWORD}@db/crm", r"found postgresql\+nosuch"),
        (f"postgresql+pg8000://me:{PASSWORD}@db/crm", "expected the package pg8000 to be installed"),
    ],
)
def test_an_unusable_address_names_its_variable_and_not_the_password(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"MLOPS_EXPORT_CRM_URL: .*{says}") as refused:
        DayRows("crm", SecretStr(url), "scores")
    assert PASSWORD not in _everything(refused.value)


def test_no_driver_can_make_an_error_show_the_password() -> None:
    pytest.importorskip("psycopg")
    url = SecretStr(f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/crm?connect_timeout=1")
    target = DayRows("crm", url, "scores")
    with pytest.raises(ServiceUnavailable) as unreachable:
        target.replace(MONDAY, rows(MONDAY, TWO), KEYS)
    assert PASSWORD not in _everything(unreachable.value)
    assert PASSWORD not in target.target


@pytest.mark.parametrize("address", [f"sqlite://me:{PASSWORD}@/x.db", f"sqlite:///x.db?password={PASSWORD}"])
def test_the_password_is_struck_out_of_what_a_driver_says(tmp_path: Path, address: str) -> None:
    target = DayRows("crm", SecretStr(f"sqlite:///{tmp_path}/{PASSWORD}/crm.db"), "scores")
    target._url = make_url(address)
    with pytest.raises(ServiceUnavailable) as told, target._answering():
        raise OperationalError("", {}, Exception(f"invalid dsn: host=db password={PASSWORD}"))
    assert "password=***" in str(told.value)
    assert PASSWORD not in _everything(told.value)


def _everything(error: MlopsError) -> str:
    """What a log shows of it."""
    import traceback

    return "".join(traceback.format_exception(error))

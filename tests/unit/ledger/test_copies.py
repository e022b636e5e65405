"""All rows of a ledger as they are at one moment, and into another one, of the same kind of database or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text

from include.mlops.errors import SettingsError
from include.mlops.ledger.ledger import HEAD, Ledger
from include.mlops.ledger.publications import Publication
from include.mlops.ledger.tables import metadata, outbox, publications
from include.mlops.spec.interval import Interval
from tests.postgres import schema_of_its_own

DAY = date(2013, 4, 10)
Rows = dict[str, list[bytes]]


@pytest.fixture(params=["sqlite", "postgres"])
def other(request: pytest.FixtureRequest, tmp_path: Path, open_ledger: Callable[[str], Ledger]) -> Iterator[Ledger]:
    """An empty one."""
    if request.param == "sqlite":
        yield open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
        return
    with schema_of_its_own(request.getfixturevalue("postgres")) as found:
        yield open_ledger(found)


def _publish(ledger: Ledger, ds: date = DAY) -> None:
    inputs = {"features.o_v1": {"snapshot_id": 2**62, "partitions": {"2013-04-09": "é"}}}
    ledger.publications.record(
        [Publication("features.g_v1", ds, 3, "meaning", "run", inputs=inputs, snapshot_id=2**62)]
    )


def _rows(ledger: Ledger) -> dict[str, list[dict[str, object]]]:
    with ledger.read() as connection:
        return {
            name: [dict(row._mapping) for row in connection.execute(select(table))]
            for name, table in metadata.tables.items()
        }


def _dumped(ledger: Ledger) -> Rows:
    with ledger.one_moment() as moment:
        assert moment.revision == HEAD
        return {name: list(lines) for name, lines in moment.tables}


def _restore(ledger: Ledger, rows: Rows, at: str = HEAD) -> None:
    ledger.restore(at, {name: (lambda lines=lines: lines) for name, lines in rows.items()})


def test_a_ledger_is_the_same_in_another_database_and_goes_on_there(ledger: Ledger, other: Ledger) -> None:
    _publish(ledger)
    ledger.releases.promote("m", 1, DAY)
    with ledger.begin() as connection:
        connection.execute(
            outbox.insert().values(
                event="noted", kind="k", subject="s", ds=DAY, severity="info", title="t", body={"list": [1, None, 0.1]},
                channel="#c", status="sent", not_before=datetime(2013, 4, 10, 12, 30, 1, 5, tzinfo=UTC),
                recorded_at=datetime(2013, 4, 10, tzinfo=UTC),
            )
        )  # fmt: skip
    _restore(other, _dumped(ledger))
    assert _rows(other) == _rows(ledger)
    assert other.counts() == {"publications": 1, "live_intervals": 1, "outbox": 1}
    other.migrate()
    _publish(other, date(2013, 4, 11))
    assert [row["id"] for row in _rows(other)["publications"]] == [1, 2]


def test_rows_that_come_while_it_is_read_are_not_in_it(ledger: Ledger) -> None:
    _publish(ledger)
    ledger.releases.promote("m", 1, DAY)
    with ledger.one_moment() as moment:
        first = next(moment.tables)
        found = {first[0]: len(list(first[1]))}
        _publish(ledger, date(2013, 4, 11))
        ledger.releases.promote("n", 1, DAY)
        found |= {name: len(list(lines)) for name, lines in moment.tables}
    assert found == {"live_intervals": 1, "publications": 1}


def test_rows_of_an_earlier_schema_are_brought_up_to_date(other: Ledger) -> None:
    other.migrate()  # an empty ledger that has its schema already
    row = (
        b'{"id":7,"dataset":"g","ds":"2013-04-10","rows":3,"quarantined":0,"snapshot_id":null,"meaning":"m","inputs":{},'
        b'"version":null,"in_sample":false,"run_id":"r","recorded_at":"2013-04-11T00:00:00"}'
    )
    _restore(other, {"publications": [row]}, at="0001")
    found = other.publications.over("g", Interval.day(DAY))[DAY]
    assert (found.rows, found.digest) == (3, None)
    with other.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


def test_a_ledger_with_rows_is_left_alone(ledger: Ledger) -> None:
    _publish(ledger)
    before = _rows(ledger)
    with pytest.raises(SettingsError, match=r"expected an empty ledger at .*publications"):
        _restore(ledger, _dumped(ledger))
    assert _rows(ledger) == before


def test_rows_of_a_newer_version_are_refused_and_nothing_is_made(other: Ledger) -> None:
    with pytest.raises(SettingsError, match="newer version"):
        _restore(other, {}, at="9999")
    with pytest.raises(SettingsError, match="newer version"):
        other.await_restore("point", "9999")
    assert other.restoring() == ""
    assert other.counts() == {}


def test_a_restore_that_fails_leaves_the_ledger_as_it_was(other: Ledger) -> None:
    other.migrate()

    def broken() -> Iterator[bytes]:
        raise OSError("gone")
        yield b""

    with pytest.raises(OSError, match="gone"):
        other.restore(HEAD, {"publications": broken})
    _publish(other)
    with other.read() as connection:
        assert connection.execute(select(publications.c.ds)).scalars().all() == [DAY]


def test_a_ledger_that_waits_for_a_restore_keeps_everybody_out_until_it_is_whole(ledger: Ledger, other: Ledger) -> None:
    _publish(ledger)
    other.await_restore("20130410T000000.123Z", HEAD)
    assert other.restoring() == "20130410T000000.123Z"
    for act in (other.migrate, other.probe):
        with pytest.raises(SettingsError, match=r"restore of 20130410T000000\.123Z was cut short"):
            act()
    _restore(other, _dumped(ledger))
    other.migrate()
    assert (other.restoring(), other.counts()) == ("", {"publications": 1})
    with pytest.raises(SettingsError, match="expected an empty ledger"):
        other.await_restore("another", HEAD)

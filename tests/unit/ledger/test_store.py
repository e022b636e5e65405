from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, inspect, select

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.ledger import ledger as ledger_module
from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.publications import Publication
from include.mlops.ledger.store import now
from include.mlops.ledger.tables import metadata, publications
from include.mlops.spec.interval import Interval

Opener = Callable[[str], Ledger]
Processes = Callable[..., list[str]]
DAY = date(2013, 4, 10)
ROW = Publication("features.g_v1", DAY, rows=3, meaning="m", run_id="r")


def count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(publications)).scalar_one()


def test_migrations_give_the_tables_that_the_code_uses(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        for table in metadata.sorted_tables:
            indexes = {index["name"] for index in inspect(connection).get_indexes(table.name)}
            assert {index.name for index in table.indexes} <= indexes


def test_migrating_twice_changes_nothing(ledger: Ledger) -> None:
    ledger.publications.record([ROW])
    ledger.migrate()
    assert count(ledger) == 1


def test_four_processes_may_migrate_at_once(url: str, open_ledger: Opener, processes: Processes) -> None:
    processes("import os; from include.mlops.ledger.ledger import Ledger; Ledger(os.environ['LEDGER']).migrate()", url)
    assert count(open_ledger(url)) == 0


def test_four_processes_may_write_at_once(ledger: Ledger, url: str, processes: Processes) -> None:
    code = """
import contextlib
import os
import shutil
from datetime import date
from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.publications import Publication
ledger = Ledger(os.environ["LEDGER"])
for n in range(25):
    ledger.publications.record([Publication("features.g_v1", date(2013, 4, 10), rows=n, meaning="m", run_id="r")])
"""
    processes(code, url)
    assert count(ledger) == 100


def test_a_transaction_that_raises_leaves_nothing(ledger: Ledger) -> None:
    with contextlib.suppress(RuntimeError), ledger.begin() as connection:
        connection.execute(publications.insert(), {**vars(ROW), "recorded_at": now()})
        raise RuntimeError
    assert count(ledger) == 0


def test_times_come_back_in_utc(ledger: Ledger) -> None:
    ledger.publications.record([ROW])
    with ledger.read() as connection:
        recorded = connection.execute(select(publications.c.recorded_at)).scalar_one()
    assert recorded.utcoffset().total_seconds() == 0


def test_a_reader_does_not_block_a_writer(url: str, ledger: Ledger, open_ledger: Opener) -> None:
    impatient = open_ledger(f"{url}?timeout=0" if url.startswith("sqlite") else url)
    with ledger.read() as reader:
        assert reader.execute(select(func.count()).select_from(publications)).scalar_one() == 0
        impatient.publications.record([ROW])
    assert count(ledger) == 1


def test_a_writer_does_not_block_a_reader(url: str, ledger: Ledger, open_ledger: Opener) -> None:
    impatient = open_ledger(f"{url}?timeout=0" if url.startswith("sqlite") else url)
    with ledger.begin() as writer:
        writer.execute(publications.insert(), {**vars(ROW), "recorded_at": now()})
        assert impatient.publications.missing("features.g_v1", Interval.day(DAY)) == [DAY]
    assert impatient.publications.missing("features.g_v1", Interval.day(DAY)) == []


def test_a_ledger_that_stays_locked_is_unavailable(tmp_path: Path, open_ledger: Opener) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    holder, impatient = open_ledger(url), open_ledger(f"{url}?timeout=0.1")
    holder.migrate()
    with holder.begin(), pytest.raises(ServiceUnavailable, match=r"ledger\.db.*locked") as refused:
        impatient.publications.record([ROW])
    assert refused.value.transient
    impatient.publications.record([ROW])
    assert count(holder) == 1


def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_secret() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ServiceUnavailable) as refused:
        Ledger("postgresql+psycopg://me:s3cret@127.0.0.1:1/x?connect_timeout=2").migrate()
    assert "127.0.0.1:1/x" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_ledger_without_tables_says_how_to_get_them(url: str, open_ledger: Opener) -> None:
    with pytest.raises(SettingsError, match="migrate"):
        open_ledger(url).publications.record([ROW])


def test_an_installation_under_a_path_with_a_percent_sign_migrates(
    tmp_path: Path, open_ledger: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "50%"
    shutil.copytree(ledger_module.MIGRATIONS, here)
    monkeypatch.setattr(ledger_module, "MIGRATIONS", here)
    ledger = open_ledger(f"sqlite:///{here}/ledger.db")
    ledger.migrate()
    assert count(ledger) == 0


def test_opening_the_ledger_and_the_alerts_imports_nothing_heavy(processes: Processes) -> None:
    code = """
import sys
import include.mlops.ledger.ledger, include.mlops.alerts.alert
heavy = {"pyspark", "mlflow", "great_expectations", "evidently", "xgboost", "pandas", "numpy", "pyarrow", "slack_sdk"}
print(sorted(heavy & set(sys.modules)))
"""
    assert processes(code, "", number=1) == ["[]\n"]

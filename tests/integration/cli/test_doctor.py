"""The doctor on the real services: all is well, or what is wrong, where, and what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import create_engine, inspect, make_url, text
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.ledger.ledger import Ledger
from include.mlops.local.ports import free_port
from include.mlops.settings import ROOT, Settings
from include.mlops.stored_files import entries

pytestmark = pytest.mark.slow
Doctor = Callable[..., Result]


@pytest.fixture
def doctor(spark_server: Settings, mlflow_server: Settings, tmp_path: Path) -> Doctor:
    """Runs it on the shared servers, with a state of its own; settings can be replaced."""

    def run(**changed: str) -> Result:
        settings = {
            "state": str(tmp_path / "state"),
            "catalog_url": spark_server.catalog,
            "warehouse_url": spark_server.warehouse,
            "spark_remote": spark_server.spark_remote,
            "mlflow_url": mlflow_server.mlflow_url,
            **changed,
        }
        return CliRunner().invoke(app, ["doctor"], env={f"MLOPS_{name.upper()}": v for name, v in settings.items()})

    return run


def _wrong(result: Result) -> dict[str, str]:
    """What is wrong, by check."""
    lines = (line.split(maxsplit=2) for line in result.output.splitlines())
    return {parts[1]: parts[2] for parts in lines if parts[:1] == ["wrong"]}


def test_all_is_well_and_nothing_stays_behind(doctor: Doctor, spark_server: Settings) -> None:
    result = doctor()
    assert _wrong(result) == {}
    assert result.exit_code == 0, result.output
    said = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("good")}
    assert list(said) == ["specifications", "ledger", "landing", "lake", "spark", "mlflow", "slack"]
    assert "writes to the same lake" in said["spark"]
    assert "alerts wait in the outbox" in said["slack"]
    assert entries(f"{spark_server.warehouse}/doctor") == 0


def test_services_that_do_not_answer_are_named_with_their_setting(doctor: Doctor) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    result = doctor(
        spark_remote=f"sc://{nobody}", mlflow_url=f"http://{nobody}", ledger_url=f"postgresql://a:of-nobody@{nobody}/x"
    )
    wrong = _wrong(result)
    assert result.exit_code == 1
    assert set(wrong) == {"ledger", "spark", "mlflow"}
    for name, setting in {
        "spark": "MLOPS_SPARK_REMOTE",
        "mlflow": "MLOPS_MLFLOW_URL",
        "ledger": "MLOPS_LEDGER_URL",
    }.items():
        assert wrong[name].startswith("ServiceUnavailable: ")
        assert setting in wrong[name]
    assert "of-nobody" not in result.output


def test_a_ledger_of_a_newer_version_is_refused(doctor: Doctor, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/newer.db"
    Ledger(url).migrate()
    with create_engine(url).begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    assert "found 9999, which a newer version of this code made" in _wrong(doctor(ledger_url=url))["ledger"]


def test_it_changes_no_schema_and_says_what_a_task_would_do(doctor: Doctor, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    result = doctor(ledger_url=url)
    assert "no schema yet, which the next task brings to" in result.output
    with create_engine(url).connect() as connection:
        assert inspect(connection).get_table_names() == []


def test_a_ledger_in_which_this_user_may_make_no_table_is_told(doctor: Doctor, postgres: str) -> None:
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create role reader login password 'few'"))
        connection.execute(text("revoke create on schema public from public"))
    url = make_url(postgres).set(username="reader", password="few").render_as_string(hide_password=False)
    result = doctor(ledger_url=url)
    assert "to take a table, found: permission denied" in _wrong(result)["ledger"]
    assert "few" not in result.output
    engine.dispose()


def test_an_address_that_is_not_mlflows_is_told(doctor: Doctor) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wrong = _wrong(doctor(mlflow_url=f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
    assert "MLOPS_MLFLOW_URL" in wrong["mlflow"]
    assert "404" in wrong["mlflow"]


def test_a_spark_server_with_another_lake_is_told(doctor: Doctor, tmp_path: Path) -> None:
    wrong = _wrong(doctor(catalog_url=f"sqlite:///{tmp_path}/own.db", warehouse_url=(tmp_path / "own").as_uri()))
    assert set(wrong) == {"spark"}
    assert "expected Spark to read and write doctor.probe_" in wrong["spark"]


def test_a_warehouse_that_takes_no_files_is_told(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    wrong = _wrong(doctor(catalog_url=f"sqlite:///{tmp_path}/own.db", warehouse_url=(tmp_path / "file").as_uri()))
    assert "expected a table, a file and a commit to be taken in file://" in wrong["lake"]
    assert "MLOPS_WAREHOUSE_URL" in wrong["lake"]


def test_broken_specifications_are_told(doctor: Doctor, tmp_path: Path) -> None:
    models = tmp_path / "specs" / "models"
    models.mkdir(parents=True)
    (models / "late.yaml").write_text("name: late\n")
    assert str(ROOT) not in str(tmp_path)
    assert "finding(s) in" in _wrong(doctor(specs=str(tmp_path / "specs")))["specifications"]

"""The doctor on the real services: all is well, or what is wrong, where, and what to do."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
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
from tests.aws import aws

pytestmark = pytest.mark.slow
Doctor = Callable[..., Result]


class _Airflow(BaseHTTPRequestHandler):
    """Its two addresses that say how it is; the real one is asked in `tests/integration/loop`."""

    def do_GET(self) -> None:
        answers = {
            "/api/v2/version": {"version": version("apache-airflow-core")},
            "/api/v2/monitor/health": {"scheduler": {"status": "healthy"}, "triggerer": {"status": None}},
        }
        body = json.dumps(answers[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def airflow() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Airflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def doctor(spark_server: Settings, mlflow_server: Settings, airflow: str, tmp_path: Path) -> Doctor:
    """Runs it on the shared servers, with a state of its own; settings can be replaced."""

    def run(**changed: str) -> Result:
        settings = {
            "state": str(tmp_path / "state"),
            "catalog_url": spark_server.catalog,
            "warehouse_url": spark_server.warehouse,
            "spark_remote": spark_server.spark_remote,
            "mlflow_url": mlflow_server.mlflow_url,
            "airflow_url": airflow,
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
    assert list(said) == [
        "specifications",
        "ledger",
        "landing",
        "lake",
        "spark",
        "jobs",
        "mlflow",
        "sources",
        "exports",
        "airflow",
        "slack",
    ]
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


def test_sources_and_exports_that_do_not_answer_are_told(doctor: Doctor, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    shutil.copytree(ROOT / "include" / "models", specs / "models")
    shutil.copytree(ROOT / "include" / "feature_groups", specs / "feature_groups")
    with (specs / "models" / "flight_delay.yaml").open("a") as file:
        file.write("exports:\n- jdbc: {connection: shop, table: scores}\n- csv: {path: 'scores/{ds}.csv'}\n")
    wrong = _wrong(doctor(specs=str(specs), export_url=str(tmp_path / "out")))
    assert set(wrong) == {"exports"}
    assert "MLOPS_EXPORT_SHOP_URL" in wrong["exports"]
    (tmp_path / "srv").write_text("no folder")
    with (specs / "models" / "flight_delay.yaml").open("a") as file:
        file.write(f"- csv: {{path: '{tmp_path}/srv/scores/{{ds}}.csv'}}\n")
    refused = _wrong(doctor(specs=str(specs), export_url=str(tmp_path / "out")))["exports"]
    assert f"expected a place that takes files at {tmp_path}/srv/scores (MLOPS_EXPORT_URL, or exports of a" in refused
    (tmp_path / "srv").unlink()
    assert list((tmp_path / "out").iterdir()) == []
    nobody = f"postgresql://a:of-nobody@127.0.0.1:{free_port()}/x"
    result = doctor(specs=str(specs), export_shop_url=nobody)
    assert _wrong(result)["exports"].startswith("ServiceUnavailable: ")
    assert "of-nobody" not in result.output
    with (specs / "models" / "flight_delay.yaml").open("a") as file:
        file.write("- csv: {path: 's3://no-such-bucket/scores/{ds}.csv'}\n")
    with aws():
        refused = _wrong(doctor(specs=str(specs), export_url=str(tmp_path / "out")))["exports"]
    assert "expected a place that takes files at s3://no-such-bucket/scores (MLOPS_EXPORT_URL, or" in refused


def test_an_airflow_elsewhere_or_of_another_version_is_told(doctor: Doctor, mlflow_server: Settings) -> None:
    wrong = _wrong(doctor(airflow_url=mlflow_server.mlflow_url))
    assert set(wrong) == {"airflow"}
    assert "MLOPS_AIRFLOW_URL" in wrong["airflow"]

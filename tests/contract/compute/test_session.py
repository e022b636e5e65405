"""What a session promises beyond Spark's own word."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr
from pyspark.sql.connect.session import SparkSession

from include.mlops.compute import executors
from include.mlops.compute.session import connect, read_once
from include.mlops.errors import SettingsError
from include.mlops.local.airflow import exported
from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import ROOT, Settings
from tests.tls import tls_before

pytestmark = pytest.mark.slow


def test_rows_read_once_are_found_again_while_another_session_is_the_active_one(
    spark_server: Settings, tmp_path: Path
) -> None:
    first, second = connect(spark_server), connect(spark_server)
    file = tmp_path / "rows.csv"
    try:
        for session in (first, second):
            file.write_text("once\n")
            rows = read_once(session.read.text(str(file)))
            file.write_text("later\n")
            assert [row["value"] for row in rows.select("value").collect()] == ["once"]
    finally:
        second.stop()
        first.stop()


TOKEN = "open-sesame"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server that asks for a token."""
    settings = Settings(state=tmp_path_factory.mktemp("guarded"), spark_port=free_port(), spark_token=TOKEN)
    with Supervisor(settings.state / "logs") as supervisor:
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        yield settings


def test_a_server_with_a_token_lets_in_who_shows_it_in_clear_and_by_tls(guarded: Settings, tmp_path: Path) -> None:
    session = connect(guarded)
    assert session.range(3).count() == 3
    session.stop()
    with tls_before(guarded.spark_port, tmp_path) as (port, certificate):
        by_tls = {"spark_remote": f"sc://127.0.0.1:{port}", "spark_tls": True}
        asked = "from include.mlops.settings import load_settings as s; from include.mlops.compute.session "
        asked += "import connect; session = connect(s()); print(session.range(4).count()); session.stop()"
        # Another process: gRPC reads the certificates that it trusts once.
        environment = exported(guarded.model_copy(update=by_tls)) | {
            "PATH": os.environ["PATH"],
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate),
        }
        found = subprocess.run(
            [sys.executable, "-c", asked], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert found.stdout == "4\n", found.stderr


@pytest.mark.parametrize(("shown", "found"), [("", "found none"), ("another", "found another one")])
def test_a_missing_or_wrong_token_is_told_and_shown_nowhere(guarded: Settings, shown: str, found: str) -> None:
    before = SparkSession.getActiveSession()
    with pytest.raises(SettingsError, match=f"MLOPS_SPARK_TOKEN, {found}") as caught:
        connect(guarded.model_copy(update={"spark_token": SecretStr(shown)}))
    told = "".join(traceback.format_exception(caught.value))
    assert SparkSession.getActiveSession() is before, "libraries would wait for a session that nobody answers"
    assert TOKEN not in told
    assert "Bearer" not in told


def test_two_versions_of_the_code_run_side_by_side_on_one_server(
    spark_server: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = []
    for version in ("one", "two"):
        room = tmp_path / version / "include" / "mlops"
        room.mkdir(parents=True)
        (room.parent / "__init__.py").touch()
        (room / "__init__.py").touch()
        (room / "which.py").write_text(f"VERSION = {version!r}\n")
        monkeypatch.setattr(executors, "ROOT", tmp_path / version)
        session = connect(spark_server)
        executors.send_code(session)
        sessions.append(session)

    def which(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from include.mlops.which import VERSION  # type: ignore[import-not-found]

        for batch in batches:
            yield pa.RecordBatch.from_pydict({"version": [VERSION] * batch.num_rows})

    try:
        for _ in range(2):
            found = [session.range(2).mapInArrow(which, "version string").collect() for session in sessions]
            assert [{row["version"] for row in rows} for rows in found] == [{"one"}, {"two"}]
    finally:
        for session in sessions:
            session.stop()

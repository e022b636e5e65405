"""docker-compose.yaml without an engine: every service that is ours, Postgres and the S3 server run as processes.

They run the file's own commands, variables and health checks, in its order. Prometheus, Grafana and the exporter that
stands before them are others' programs, whose files are checked in tests/unit/deploy.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from deploy.make_env import make_env
from include.demo.airflow_api import FINISHED, AirflowApi, Run, until
from include.demo.landing import land_weather
from include.mlops.ledger.database import READER
from include.mlops.ledger.ledger import Ledger
from include.mlops.local.airflow import ADMIN
from include.mlops.local.supervisor import Service, Supervisor
from include.mlops.settings import ROOT
from include.mlops.spec.interval import Interval
from tests.aws_environment import environment
from tests.cluster import gateway
from tests.compose import Here, one_shots, read_compose, read_env, start_order
from tests.conftest import ON_CLUSTER
from tests.dashboard import emitted, prometheus_names
from tests.postgres import postgres_server
from tests.statsd import Datagrams

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ON_CLUSTER, reason="`make cluster-test` runs it"),
]
OTHERS = ("statsd", "prometheus", "grafana")
NIGHT = date(2013, 4, 3)  # the first that the example's schedule asks for


@dataclass(frozen=True)
class Running:
    here: Here
    secrets: dict[str, str]
    airflow: AirflowApi
    datagrams: Datagrams
    order: list[str]

    def database(self, name: str, user: str = "mlops", password: str = "") -> str:
        secret = password or self.secrets["POSTGRES_PASSWORD"]
        return f"postgresql+psycopg://{user}:{secret}@127.0.0.1:{self.here.port(5432)}/{name}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("compose")
    make_env(home / ".env")
    secrets = read_env(home / ".env")
    services = read_compose(secrets)["services"]
    folders = {
        "/opt/mlops": str(ROOT),
        **{name: str(home / name.strip("/")) for name in ("/opt/mlops/.state", "/opt/airflow", "/opt/airflow/logs")},
        **{name: str(home / name.strip("/")) for name in ("/data/meta", "/data/buckets", "/opt/mlops/landing")},
    }
    for folder in folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    here = Here(services, folders)
    with ExitStack() as opened:
        opened.enter_context(postgres_server(here.port(5432), secrets["POSTGRES_PASSWORD"]))
        datagrams = opened.enter_context(Datagrams(here.port(9125)))
        supervisor = opened.enter_context(Supervisor(home / "logs"))
        order = [name for name in start_order(services) if name not in OTHERS]
        for name in order:
            _start(name, here, supervisor)
        airflow = AirflowApi(f"http://127.0.0.1:{here.port(8080)}", ADMIN, secrets["AIRFLOW_ADMIN_PASSWORD"])
        yield Running(here, secrets, airflow, datagrams, order)


def _start(name: str, here: Here, supervisor: Supervisor) -> None:
    """Start a service as the file says, and wait until its own health check is content, or its one task is done."""
    if name == "postgres":
        assert here.is_healthy(name)
        return
    variables = here.environment(name)
    if name in one_shots(here.services):
        with environment(variables):
            done = subprocess.run(here.command(name), cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return
    for number in range(int(here.services[name].get("deploy", {}).get("replicas", 1))):
        one = here.replica(8082) if name == "spark-worker" else here
        program = [str(gateway())] if name == "s3" else []
        command = (*program, *one.command(name))
        supervisor.start(Service(f"{name}-{number}", command, lambda one=one: one.is_healthy(name), "", variables))
    supervisor.wait_until_up()


def _finished(running: Running, run: Run) -> str:
    return str(until(lambda: (found := running.airflow.state(run)) in FINISHED and found, 240, f"{run.dag_id} to end"))


def _ready(running: Running, dag_id: str) -> None:
    until(lambda: dag_id in running.airflow.known(), 120, f"the DAG {dag_id}")
    running.airflow.unpause(dag_id)


def test_services_start_after_what_they_need(running: Running) -> None:
    position = {name: number for number, name in enumerate(running.order)}
    assert position["postgres"] < position["prepare"] < position["mlflow"] < position["airflow-scheduler"]
    assert position["spark-master"] < position["spark-worker"] < position["spark-connect"]


def test_a_task_finds_every_service_well(running: Running) -> None:
    _ready(running, "doctor")
    run = running.airflow.trigger("doctor")
    assert _finished(running, run) == "success"
    assert running.airflow.import_errors() == []


def test_a_day_that_lands_is_ingested_on_the_cluster_and_recorded(running: Running) -> None:
    landed = land_weather(Path(running.here.folders["/opt/mlops/landing"]), NIGHT)
    _ready(running, "ingest_airport_weather")
    first = until(lambda: next(running.airflow.runs("ingest_airport_weather"), None), 60, "a run by the schedule")
    assert (first.key, _finished(running, first)) == (str(NIGHT), "success")
    with closing(Ledger(running.database("ledger"))) as ledger:
        published = ledger.publications.over("features.airport_weather_v1", Interval.day(NIGHT))
    assert published[NIGHT].rows == len(landed.read_text().splitlines()) - 1
    assert published[NIGHT].run_id == first.run_id


def test_metrics_of_the_runs_arrive_under_the_names_that_the_dashboard_asks_for(running: Running) -> None:
    _ready(running, "doctor")
    assert _finished(running, running.airflow.trigger("doctor")) == "success"
    wanted = {"airflow_dagrun_duration_success", "airflow_task_duration", "airflow_ti_finish"}
    assert wanted <= prometheus_names()
    until(lambda: wanted <= emitted(running.datagrams.lines()), 60, f"{', '.join(wanted)} by StatsD")
    assert any(line.startswith("airflow.dagrun.duration.success,dag_id=doctor") for line in running.datagrams.lines())


def test_who_reads_the_dashboard_may_change_nothing(running: Running) -> None:
    url = running.database("ledger", READER, running.secrets["LEDGER_READER_PASSWORD"])
    engine = create_engine(make_url(url))
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from publications")).scalar_one() >= 0
        with pytest.raises(DBAPIError):
            connection.execute(text("delete from publications"))
    engine.dispose()


def test_preparing_again_three_times_at_once_changes_nothing(running: Running) -> None:
    variables, command = running.here.environment("prepare"), running.here.command("prepare")
    with environment(variables):
        started = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(3)
        ]
        told = [one.communicate()[0] for one in started]
    assert [one.returncode for one in started] == [0, 0, 0], told
    assert not any("created" in text for text in told)
    assert not any(running.secrets["POSTGRES_PASSWORD"] in text for text in told)

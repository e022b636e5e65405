"""Grafana's dashboard and data sources: what they ask for is what Airflow emits and the ledger holds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from airflow._shared.observability.metrics.metrics_registry import MetricsRegistry
from ruamel.yaml import YAML
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from include.mlops.ledger.database import READER, ensure_database, ensure_reader, one_at_a_time
from include.mlops.ledger.ledger import Ledger
from include.mlops.ledger.monitoring import Verdict
from include.mlops.ledger.publications import Publication
from include.mlops.settings import ROOT
from tests.compose import FILE
from tests.dashboard import panels, prometheus_names, targets
from tests.postgres import database_of_its_own

DEPLOY = ROOT / "deploy"
DAY = date(2013, 4, 10)
with_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (Debian: apt install prometheus)"
)
SERVICES = YAML(typ="safe").load(FILE)["services"]


def read(path: str) -> dict:
    return YAML(typ="safe").load(DEPLOY / path)


def test_each_metric_of_the_dashboard_is_one_that_this_airflow_emits() -> None:
    emitted = {"airflow_" + re.sub(r"[^a-zA-Z0-9_]", "_", name) for name in MetricsRegistry()._metrics}
    assert prometheus_names() - emitted == set()
    assert len(prometheus_names()) >= 8


def test_parts_of_a_timer_are_asked_of_timers_alone() -> None:
    kinds = {"airflow_" + name.replace(".", "_"): metric["type"] for name, metric in MetricsRegistry()._metrics.items()}
    for title, target in targets("prometheus"):
        for name, part in re.findall(r"\b(airflow_[a-z0-9_]+?)(_sum|_count)?\b(?=[\[)])", target["expr"]):
            assert (kinds[name] == "timer") == bool(part), f"{title}: {name}{part}"


def test_panels_ask_data_sources_that_are_provisioned_of_services_that_there_are() -> None:
    sources = {source["uid"]: source for source in read("grafana/provisioning/datasources/mlops.yaml")["datasources"]}
    assert {target["datasource"]["uid"] for panel in panels() for target in panel.get("targets", [])} == set(sources)
    for source in sources.values():
        assert source["url"].removeprefix("http://").partition(":")[0] in SERVICES
    assert sources["ledger"]["user"] == READER
    password = sources["ledger"]["secureJsonData"]["password"]
    assert password.removeprefix("$") in SERVICES["grafana"]["environment"]


def test_prometheus_reads_the_exporter_on_the_port_that_it_listens_on() -> None:
    (job,) = [job for job in read("prometheus.yml")["scrape_configs"] if job["job_name"] == "airflow"]
    ((host, port),) = [target.split(":") for target in job["static_configs"][0]["targets"]]
    assert f"--web.listen-address=:{port}" in SERVICES[host]["command"]


@with_promtool
def test_prometheus_own_tool_takes_its_file() -> None:
    subprocess.run(["promtool", "check", "config", DEPLOY / "prometheus.yml"], check=True)


@with_promtool
def test_prometheus_own_tool_reads_the_query_of_each_panel(tmp_path: Path) -> None:
    queries = [target["expr"] for _, target in targets("prometheus")]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(
        json.dumps({"groups": [{"name": "panels", "rules": rules}]})
    )  # which YAML reads
    subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], check=True)


@pytest.fixture(scope="module")
def ledger_url(postgres: str) -> Iterator[str]:
    """A ledger in Postgres with some rows of each kind that panels show."""
    with database_of_its_own(postgres) as url:
        with closing(Ledger(url)) as ledger:
            ledger.migrate()
            ledger.publications.record([Publication("features.g_v1", DAY, rows=3, meaning="m", run_id="r")])
            ledger.monitoring.record("m", DAY, "performance", {"roc_auc": 0.7, "log_loss": None}, 1, "r")
            ledger.monitoring.record("m", DAY, "drift", {"carrier": 0.2}, 1, "r")
            ledger.monitoring.judge(Verdict("m", DAY, "drift", bad=True, confirmed=True, run_id="r"))
        ensure_reader(url, "of-tests-alone")
        yield url


@pytest.mark.parametrize(("title", "target"), targets("ledger"), ids=[title for title, _ in targets("ledger")])
def test_each_panel_of_the_ledger_runs_as_the_user_of_dashboards(
    ledger_url: str, title: str, target: dict[str, str]
) -> None:
    query = re.sub(r"\$__timeFilter\((.*?\))\)", r"\1 BETWEEN '2013-01-01' AND '2014-01-01'", target["rawSql"])
    engine = create_engine(_as_reader(ledger_url))
    with engine.connect() as connection:
        found = connection.execute(text(query.replace(":", r"\:")))
        if target["format"] == "time_series":
            assert list(found.keys()) == ["time", "metric", "value"]
        rows = found.all()
    engine.dispose()
    expected = {
        "AUC and other measures, by data date": 0.7,
        "Drift, by data date": 0.2,
        "Rows published, by data date": 3,
    }
    if title in expected:
        assert [row.value for row in rows] == [expected[title]]
    if title == "Models with confirmed drift":
        assert rows == [(1,)]


def test_the_user_of_dashboards_reads_tables_that_come_later_and_writes_none(ledger_url: str) -> None:
    owner, reader = create_engine(ledger_url), create_engine(_as_reader(ledger_url))
    with owner.begin() as connection:
        connection.execute(text("create table later (one int)"))
    with reader.connect() as connection:
        assert connection.execute(text("select count(*) from later")).scalar_one() == 0
        with pytest.raises(DBAPIError):
            connection.execute(text("set transaction read write; insert into later values (1)"))
    owner.dispose()
    reader.dispose()


def test_preparing_waits_for_another_who_prepares(postgres: str) -> None:
    with database_of_its_own(postgres) as url:
        assert not ensure_database(url)
        with one_at_a_time(url):
            engine = create_engine(postgres)
            with engine.connect() as connection:
                free = "select pg_try_advisory_lock(7265002)"
                assert connection.execute(text(free)).scalar() is False
            engine.dispose()


def test_a_database_that_is_missing_is_made_once(postgres: str) -> None:
    name = f"made_{datetime.now(UTC):%H%M%S%f}"
    url = postgres.rpartition("/")[0] + f"/{name}"
    assert ensure_database(url)
    assert not ensure_database(url)
    with closing(Ledger(url)) as ledger:
        ledger.migrate()
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    engine.dispose()


def _as_reader(url: str) -> str:
    return f"postgresql+psycopg://{READER}:of-tests-alone@{url.rpartition('@')[2]}"

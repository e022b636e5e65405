"""Steps as jobs of EMR Serverless: the provider's operator and Airflow's task runner against moto's server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from include.demo.landing import land_outcomes
from include.mlops.errors import MlopsError, PartitionsFailed, ServiceUnavailable, SettingsError
from include.mlops.settings import ROOT
from tests.aws import aws, bucket
from tests.bundle.runs import Run
from tests.emr import ROLE, create_application, job_runs, jobs_stay_submitted, run_job
from tests.postgres import database_of_its_own

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

    from include.mlops.steps.platform import Platform

pytestmark = pytest.mark.slow
INGEST, DAY = "ingest_flight_outcomes", date(2013, 4, 3)


@dataclass
class Emr:
    """An application of EMR Serverless, and a run whose Spark tasks are its jobs."""

    application: str
    run: Run
    rooms: Platform
    home: Path
    printed: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> list[Any]:
        return job_runs(self.application)

    def task(self, task_id: str, ends: Callable[[Any], None], *, try_number: int = 1) -> Any:
        """Run a task while somebody plays EMR: `ends` is given the job run that goes on."""
        done = threading.Event()

        def play() -> None:
            while not done.wait(0.1):
                for job in self.jobs:
                    if job.state == "SUBMITTED":
                        ends(job)

        player = threading.Thread(target=play)
        player.start()
        try:
            return self.run.task(task_id, try_number=try_number)
        finally:
            done.set()
            player.join()

    def carries(self, job: Any) -> None:
        self.printed.append(run_job(job, self.home / job.id))


@pytest.fixture
def emr(
    metadata: None,
    parse: Callable[[Path], DagBag],
    postgres: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Emr]:
    from include.mlops.orchestration import spark_job
    from include.mlops.steps.platform import Platform

    monkeypatch.setattr(spark_job, "POLL_SECONDS", 1)
    jobs_stay_submitted(monkeypatch)
    with aws(), database_of_its_own(postgres) as ledger:
        bucket("lake")
        application = create_application()
        secret = {"MLOPS_LEDGER_URL": ledger}
        boto3.client("secretsmanager").create_secret(Name="mlops", SecretString=json.dumps(secret))
        settings = {
            **{"STATE": str(tmp_path / "state"), "LANDING_URL": str(tmp_path / "landing"), "LEDGER_URL": ledger},
            **{"CATALOG_URL": "glue://", "WAREHOUSE_URL": "s3://lake/warehouse", "JOBS_URL": "s3://lake/jobs"},
            **{"JOBS": f"emr-serverless://{application}", "JOBS_ROLE": ROLE, "JOBS_SECRET": "mlops"},
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"MLOPS_{name}", value)
        rooms = Platform()
        land_outcomes(tmp_path / "landing", DAY)
        run = Run(parse(ROOT / "dags"), INGEST, str(DAY), "manual", None)
        assert run.task("wait").state == "success"
        yield Emr(application, run, rooms, tmp_path / "emr")
        rooms.ledger.close()


def test_a_partition_is_ingested_and_published_by_jobs(emr: Emr) -> None:
    ingested = emr.task("ingest", emr.carries)
    assert ingested.state == "success", emr.printed
    assert emr.run.task("validate").state == "success"
    assert emr.task("publish", emr.carries).state == "success", emr.printed
    published = emr.rooms.ledger.publications.over("features.flight_outcomes_v1", _day())
    assert published[DAY].rows > 800
    assert [asset for asset, _ in emr.run.announced()] == ["flight_outcomes"]
    assert len(emr.jobs) == 2


def _day() -> Any:
    from include.mlops.spec.interval import Interval

    return Interval.day(DAY)

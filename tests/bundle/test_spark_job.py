"""Steps as jobs of EMR Serverless: the provider's operator and Airflow's task runner against moto's server."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from sqlalchemy import make_url

from include.demo.landing import land_outcomes
from include.mlops.compute.emr_serverless import order_of, write_answer
from include.mlops.errors import MlopsError, PartitionsFailed, ServiceUnavailable, SettingsError
from include.mlops.settings import ROOT
from include.mlops.spec.interval import Interval
from include.mlops.stored_files import read_whole
from tests.aws import aws, bucket
from tests.bundle.runs import Run
from tests.bundle.triggerer import triggerer
from tests.emr import (
    ROLE,
    create_application,
    job_runs,
    jobs_stay_submitted,
    kept_application,
    run_job,
    settles_once_it_refused,
)
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
                        try:
                            ends(job)
                        except BaseException:
                            job.state = "FAILED"  # or the task would wait for ever
                            raise

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
    request: pytest.FixtureRequest,
    metadata: None,
    parse: Callable[[Path], DagBag],
    postgres: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Emr]:
    from include.mlops.compute import emr_serverless
    from include.mlops.orchestration import spark_job
    from include.mlops.steps.platform import Platform

    monkeypatch.setattr(spark_job, "POLL_SECONDS", 1)
    if request.function not in (
        test_a_partition_is_ingested_and_published_by_jobs,
        test_what_its_secret_lacks_is_told_by_the_job_before_it_publishes,
    ):
        monkeypatch.setattr(emr_serverless, "needed_jars", lambda _: ())  # nobody starts Spark
    jobs_stay_submitted(monkeypatch)
    with aws(), database_of_its_own(postgres) as ledger:
        bucket("lake")
        bucket("landing")
        application = create_application()
        secret = {"MLOPS_LEDGER_URL": ledger}
        boto3.client("secretsmanager").create_secret(Name="mlops", SecretString=json.dumps(secret))
        settings = {
            "STATE": str(tmp_path / "state"),
            "LANDING_URL": "s3://landing",
            "LEDGER_URL": ledger,
            "CATALOG_URL": "glue://",
            "WAREHOUSE_URL": "s3://lake/warehouse",
            "JOBS_URL": "s3://lake/jobs",
            "JOBS": f"emr-serverless://{application}",
            "JOBS_ROLE": ROLE,
            "JOBS_SECRET": "mlops",
            "MLFLOW_URL": "http://mlflow.internal:5000",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"MLOPS_{name}", value)
        rooms = Platform()
        landed = land_outcomes(tmp_path, DAY)
        boto3.client("s3").upload_file(str(landed), "landing", str(landed.relative_to(tmp_path)))
        run = Run(parse(ROOT / "dags"), INGEST, str(DAY), "manual", None)
        assert run.task("wait").state == "success"
        yield Emr(application, run, rooms, tmp_path / "emr")
        rooms.ledger.close()


@pytest.mark.timeout(1200)  # two jobs, each of which starts Spark
def test_a_partition_is_ingested_and_published_by_jobs(emr: Emr) -> None:
    ingested = emr.task("ingest", emr.carries)
    assert ingested.state == "success", "\n".join(emr.printed)
    assert emr.run.task("validate").state == "success"
    assert emr.task("publish", emr.carries).state == "success", "\n".join(emr.printed)
    published = emr.rooms.ledger.publications.over("features.flight_outcomes_v1", Interval.day(DAY))
    assert published[DAY].rows > 800
    assert [asset for asset, _ in emr.run.announced()] == ["flight_outcomes"]
    assert len(emr.jobs) == 2


def test_a_lost_workers_next_try_waits_for_the_job_that_runs(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose_the_worker(emr, monkeypatch)
    assert [job.state for job in emr.jobs] == ["SUBMITTED"]
    _once_looked_at(monkeypatch, _answers({"result": {"staged": "what the first try ordered"}}))
    assert emr.run.task("ingest", try_number=2).state == "success"
    assert emr.run.xcom("ingest", "return_value") == {"staged": "what the first try ordered"}
    assert len(emr.jobs) == 1


def test_an_earlier_trys_job_that_is_stopped_meanwhile_is_done_again(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose_the_worker(emr, monkeypatch)
    _once_looked_at(monkeypatch, _ends("CANCELLED"))  # somebody cleared the task, and the new try was the faster
    done = emr.run.task("ingest", try_number=2)
    assert (done.state, type(done.error)) == ("up_for_retry", ServiceUnavailable)


def test_an_application_that_sleeps_is_started(emr: Emr) -> None:
    boto3.client("emr-serverless").stop_application(applicationId=emr.application)
    assert emr.task("ingest", _answers({"result": {}})).state == "success"


@pytest.mark.parametrize("meanwhile", ["STOPPING", "STARTING"])
def test_an_application_that_is_on_its_way_is_waited_for(
    emr: Emr, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    settles_once_it_refused(monkeypatch, emr.application, meanwhile)
    assert emr.task("ingest", _answers({"result": {}})).state == "success"
    assert kept_application(emr.application).state == "STARTED"
    assert len(emr.jobs) == 1


def test_a_job_that_has_ended_is_not_taken_for_the_next_try(emr: Emr) -> None:
    died = emr.task("ingest", _ends("FAILED"), try_number=1)
    assert (died.state, type(died.error)) == ("up_for_retry", ServiceUnavailable)
    assert "s3://lake/jobs/logs/applications/" in str(died.error), "where its log is"
    assert emr.task("ingest", _answers({"result": {}}), try_number=2).state == "success"
    assert len({job.client_token for job in emr.jobs}) == 2


def test_what_a_step_raises_in_its_job_is_raised_in_the_task(emr: Emr) -> None:
    told = {"error": "PartitionsFailed", "message": "ingest flight_outcomes: 1 partition(s) failed"}
    done = emr.task("ingest", _answers(told, "FAILED"))
    assert (done.state, type(done.error), str(done.error)) == ("failed", PartitionsFailed, told["message"])


def test_a_job_that_somebody_stopped_is_not_started_again(emr: Emr) -> None:
    done = emr.task("ingest", _ends("CANCELLED"))
    assert (done.state, type(done.error)) == ("failed", MlopsError)
    assert "somebody stopped it" in str(done.error)


def test_who_marks_the_waiting_task_failed_stops_its_job(
    emr: Emr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = _once_looked_at(monkeypatch, _ends("RUNNING"))
    emr.run.started("ingest", try_number=1).wait()
    assert emr.run.state("ingest") == "deferred", "no worker slot is held while a job runs"
    with triggerer(tmp_path) as until:
        until(looked_at.is_set)
        emr.run.mark_failed("ingest")
        until(lambda: [job.state for job in emr.jobs] == ["CANCELLED"])


def test_a_triggerer_that_is_stopped_leaves_the_job_alone(
    emr: Emr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = _once_looked_at(monkeypatch, _ends("RUNNING"))
    emr.run.started("ingest", try_number=1).wait()
    with triggerer(tmp_path) as until:
        until(looked_at.is_set)
    assert emr.run.state("ingest") == "deferred"
    assert [job.state for job in emr.jobs] == ["RUNNING"]


def test_a_worker_that_is_stopped_while_it_starts_a_job_stops_that_job(
    emr: Emr, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.emrserverless.models import EMRServerlessBackend

    start_job_run, workers = EMRServerlessBackend.start_job_run, []

    def stops_its_caller(self: Any, *args: Any, **kwargs: Any) -> Any:
        job = start_job_run(self, *args, **kwargs)
        os.kill(workers[0].pid, signal.SIGTERM)
        return job

    monkeypatch.setattr(EMRServerlessBackend, "start_job_run", stops_its_caller)
    workers.append(emr.run.started("ingest", try_number=1))
    workers[0].wait()
    assert [job.state for job in emr.jobs] == ["CANCELLED"]


def test_the_task_links_to_the_jobs_log(emr: Emr) -> None:
    from airflow.providers.amazon.aws.links.emr import EmrServerlessS3LogsLink

    emr.task("ingest", _answers({"result": {}}))
    link = EmrServerlessS3LogsLink().format_link(**emr.run.xcom("ingest", EmrServerlessS3LogsLink.key))
    (job,) = emr.jobs
    assert link.startswith("https://console.aws.amazon.com/s3/buckets/lake?region=us-east-1&prefix=jobs/logs")
    assert link.endswith(f"/applications/{emr.application}/jobs/{job.id}/")


def test_a_job_may_take_as_long_as_its_task(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    emr.task("ingest", _answers({"result": {}}))
    limit = emr.run.dag.get_task("ingest").execution_timeout
    assert [timedelta(minutes=job.execution_timeout_minutes) for job in emr.jobs] == [limit]


def test_no_secret_is_in_what_a_job_is_asked_with(emr: Emr) -> None:
    password = make_url(emr.rooms.settings.ledger).password
    emr.task("ingest", _answers({"result": {}}))
    (job,) = emr.jobs
    order = _order(job)
    asked = json.dumps([job.job_driver, job.configuration_overrides, json.loads(read_whole(order).to_pybytes())])
    assert "flight_outcomes" in asked
    assert password
    assert password not in asked


def test_what_a_job_could_not_reach_fails_at_once(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_LEDGER_URL")
    done = emr.task("ingest", _ends("SUCCESS"))
    assert (done.state, type(done.error)) == ("failed", SettingsError)
    assert "expected MLOPS_LEDGER_URL of Postgres, as MLOPS_JOBS is set" in str(done.error)
    assert emr.jobs == []


def test_what_its_secret_lacks_is_told_by_the_job_before_it_publishes(emr: Emr) -> None:
    """With the default, a file of the job's own, the record of what it publishes would be lost."""
    boto3.client("secretsmanager").put_secret_value(SecretId="mlops", SecretString="{}")
    done = emr.task("ingest", emr.carries)
    assert (done.state, type(done.error)) == ("failed", SettingsError), "\n".join(emr.printed)
    assert "expected MLOPS_LEDGER_URL of Postgres, as MLOPS_JOBS is set" in str(done.error)


def test_an_application_that_is_not_there_is_named(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    task = emr.run.dag.get_task("ingest")
    monkeypatch.setattr(task, "application_id", "nobody")
    done = emr.task("ingest", _ends("SUCCESS"))
    assert (done.state, type(done.error)) == ("failed", SettingsError)
    assert "MLOPS_JOBS" in str(done.error)


def _lose_the_worker(emr: Emr, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill it when its job is started, and before it hears which."""
    from moto.emrserverless.models import EMRServerlessBackend

    start_job_run, workers = EMRServerlessBackend.start_job_run, []

    def loses_its_caller(self: Any, *args: Any, **kwargs: Any) -> Any:
        job = start_job_run(self, *args, **kwargs)
        os.kill(workers[0].pid, signal.SIGKILL)
        return job

    with monkeypatch.context() as patched:
        patched.setattr(EMRServerlessBackend, "start_job_run", loses_its_caller)
        workers.append(emr.run.started("ingest", try_number=1))
        assert workers[0].wait() == -signal.SIGKILL


def _once_looked_at(monkeypatch: pytest.MonkeyPatch, ends: Callable[[Any], None]) -> threading.Event:
    """Let the job run end once somebody asks how it is; the event says that it was asked for."""
    from moto.emrserverless.models import EMRServerlessBackend

    get_job_run, looked_at = EMRServerlessBackend.get_job_run, threading.Event()

    def looks(self: Any, *args: Any, **kwargs: Any) -> Any:
        job = get_job_run(self, *args, **kwargs)
        if not looked_at.is_set():
            looked_at.set()
            ends(job)
        return job

    monkeypatch.setattr(EMRServerlessBackend, "get_job_run", looks)
    return looked_at


def _ends(state: str) -> Callable[[Any], None]:
    return lambda job: setattr(job, "state", state)


def _answers(answer: dict[str, Any], state: str = "SUCCESS") -> Callable[[Any], None]:
    def ends(job: Any) -> None:
        write_answer(_order(job), answer)
        job.state = state

    return ends


def _order(job: Any) -> str:
    return order_of({"jobDriver": job.job_driver})

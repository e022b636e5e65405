"""Runs of the bundle in a real Airflow database: its execution API, its task runner, and its callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.mlops.errors import NotReady, PartitionsFailed, ServiceUnavailable, WrongTrigger
from include.mlops.lake.maintenance import maintained_at
from include.mlops.ledger.publications import Publication
from include.mlops.settings import ROOT, Settings
from tests.bundle.outage import Outage
from tests.bundle.runs import Run

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

    from include.mlops.steps.platform import Platform

pytestmark = pytest.mark.slow
INGEST = "ingest_flight_outcomes"
LONG_AGO = "2013-04-03"
Start = Callable[..., "Run"]


@pytest.fixture
def start(metadata: None, parse: Callable[[Path], DagBag], rooms: Platform) -> Start:
    bag = parse(ROOT / "dags")  # its own, for a run in this process leaves its form in the DAG

    def make(dag_id: str, key: str | None, run_type: str = "manual", conf: dict[str, Any] | None = None) -> Run:
        return Run(bag, dag_id, key, run_type, conf)

    return make


def _land(rooms: Platform, ds: str) -> None:
    file = Path(rooms.settings.landing) / rooms.specs.group("flight_outcomes").path(date.fromisoformat(ds))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("carrier\nUA\n")


def test_a_run_by_hand_without_a_key_fails_with_what_to_do_and_calls_nobody(start: Start, rooms: Platform) -> None:
    run = start(INGEST, None)

    done = run.task("wait")

    assert done.state == "failed"
    assert isinstance(done.error, WrongTrigger)
    assert run.ends() == "failed"
    assert rooms.ledger.incidents.list_outbox() == []


def test_a_scheduled_run_defers_and_goes_on_when_the_file_lands(start: Start, rooms: Platform) -> None:
    run = start(INGEST, LONG_AGO, "scheduled")
    landing = threading.Timer(2, _land, (rooms, LONG_AGO))
    landing.start()

    done = run.task("wait")

    landing.join()
    assert done.state == "success"
    ingested = run.task("ingest")
    assert isinstance(ingested.error, PartitionsFailed), "it looked into the file, whose header is another"
    assert "SchemaChanged" in str(ingested.error)


def test_a_missing_file_of_the_past_is_told_as_late_after_one_try(start: Start, rooms: Platform) -> None:
    run = start(INGEST, LONG_AGO, "backfill")

    done = run.task("wait")

    assert done.state == "failed"
    assert isinstance(done.error, NotReady)
    assert run.ends() == "failed"
    assert [(m.kind, m.event) for m in rooms.ledger.incidents.list_outbox()] == [("late", "opened")]


def test_an_unavailable_service_is_tried_again_and_told_after_the_last_try_only(start: Start, rooms: Platform) -> None:
    _land(rooms, LONG_AGO)
    run = start(INGEST, LONG_AGO, "backfill")
    outage = Outage(rooms)

    with outage:
        first = run.task("wait", try_number=1)
    assert (first.state, type(first.error)) == ("up_for_retry", ServiceUnavailable)
    assert first.msg.retry_delay_seconds == 15
    assert rooms.ledger.incidents.list_outbox() == []

    rooms.ledger.close()
    with outage:
        last = run.task("wait", try_number=3)

    assert (last.state, type(last.error)) == ("failed", ServiceUnavailable)
    assert run.ends() == "failed"
    assert [(m.kind, m.event) for m in rooms.ledger.incidents.list_outbox()] == [("failed", "opened")]


def test_a_task_that_is_killed_on_its_last_try_is_told_by_its_run(start: Start, rooms: Platform) -> None:
    run = start(INGEST, LONG_AGO, "scheduled")

    state = run.killed("wait")

    assert state == "failed"
    assert rooms.ledger.incidents.list_outbox() == [], "a killed task tells nothing itself"
    assert run.ends() == "failed"
    (told,) = rooms.ledger.incidents.list_outbox()
    assert (told.kind, told.title) == ("failed", f"{INGEST}: wait failed for {LONG_AGO}")
    assert "killed" in told.summary


def test_a_retraining_by_hand_needs_the_form_alone(start: Start, rooms: Platform) -> None:
    run = start("retrain_flight_delay", None, conf={"as_of": "2013-04-05", "reason": "a test"})

    done = run.task("train", try_number=3)

    assert done.state == "failed", "nothing is published that it could train on"
    assert not isinstance(done.error, WrongTrigger)
    (told,) = rooms.ledger.incidents.list_outbox()
    assert (told.subject, told.ds, told.severity) == ("retrain_flight_delay", date(2013, 4, 5), "warning")


def test_a_bulk_run_over_an_interval_that_goes_backwards_says_so_and_calls_nobody(
    start: Start, rooms: Platform
) -> None:
    conf = {"what": "flight_outcomes", "from": "2013-02-01", "to": "2013-01-01"}
    run = start("bulk", None, conf=conf)

    done = run.task("plan")

    assert done.state == "failed"
    assert "expected First day before Last day, found 2013-02-01 and 2013-01-01" in str(done.error)
    assert run.ends() == "failed"
    assert rooms.ledger.incidents.list_outbox() == []


def test_a_bulk_run_shows_its_plan_and_waits_only_for_who_sees_the_question(start: Start, rooms: Platform) -> None:
    _land(rooms, LONG_AGO)
    conf = {"what": "flight_outcomes", "from": "2013-04-02", "to": LONG_AGO}
    form, api = start("bulk", None, conf={**conf, "approve": True}), start("bulk", None, conf=conf)
    for run in (form, api):
        planned = run.task("plan")
        assert planned.state == "success", planned.error
    (page, _) = sorted((rooms.settings.reports / "bulk").iterdir())
    text = page.read_text()
    assert "2013-04-02" in text
    assert "waits for its file" in text

    assert form.task("approve").state == "awaiting_input"
    assert api.task("approve").state == "success"
    computed = api.task("compute")
    assert isinstance(computed.error, PartitionsFailed), "the plan came to it, and neither day can be made"
    assert set(computed.error.failures) == {date(2013, 4, 2), date.fromisoformat(LONG_AGO)}


def test_a_bulk_run_starts_what_lacks_the_days_that_it_published_the_newest_first(
    start: Start, rooms: Platform
) -> None:
    """Three days of outcomes were scored before, one of them was measured; a fourth another run published."""
    conf = {"what": "flight_outcomes", "from": "2013-02-01", "to": "2013-02-04", "only": "all"}
    run = start("bulk", None, conf=conf)
    assert run.task("plan").state == "success"
    predictions, performance = "predictions.flight_delay", "performance.flight_delay"
    labels = rooms.specs.group("flight_outcomes").table
    rows = [Publication(labels, date(2013, 2, day), 1, "m", run.run_id) for day in (1, 2, 3)]
    rows += [Publication(labels, date(2013, 2, 4), 1, "m", "another")]
    rows += [Publication(predictions, date(2013, 2, day), 1, "m", "night", version=1) for day in (1, 2, 3, 4)]
    rooms.ledger.publications.record([*rows, Publication(performance, date(2013, 2, 2), 1, "m", "night", version=1)])

    assert run.task("announce").state == "success"

    assert run.announced() == [("flight_outcomes", "2013-02-03"), ("flight_outcomes", "2013-02-01")]


def test_delivering_alerts_succeeds_without_slack(start: Start) -> None:
    assert start("deliver_alerts", None).task("flush").state == "success"


def test_a_week_is_tidied_up(
    start: Start, rooms: Platform, mlflow_server: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_MLFLOW_URL", mlflow_server.mlflow_url)
    rooms.lake.create("features.ours_v1", {"ds": "date", "value": "double"})
    run = start("maintain", None)

    assert run.task("tend").state == "success"
    assert maintained_at(rooms.lake.table("features.ours_v1"))
    assert run.task("delete_old_reports").state == "success"
    assert run.ends() == "success"


def test_spark_as_jobs_takes_maintenance_too(parse: Callable[[Path], DagBag], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_JOBS", "emr-serverless://00f")
    monkeypatch.setenv("MLOPS_JOBS_ROLE", "arn:aws:iam::123456789012:role/jobs")
    monkeypatch.setenv("MLOPS_JOBS_URL", "s3://lake/jobs")
    monkeypatch.setenv("MLOPS_JOBS_SECRET", "mlops")
    tasks = parse(ROOT / "dags").dags["maintain"].task_dict
    assert {name: type(task).__name__ for name, task in tasks.items()}["tend"] == "SparkJob"
    assert tasks["tend"].step == "maintain"

"""Who is told when a run fails, and that it works again: on a real ledger, with what Airflow gives its callbacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from include.mlops.errors import MlopsError, NotReady, ServiceUnavailable
from include.mlops.ledger.publications import Publication
from include.mlops.policy.alerting import Message
from include.mlops.settings import ROOT
from include.mlops.spec.export import Export
from include.mlops.spec.load import load_specs

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

    from include.mlops.steps.platform import Platform

Contexts = Callable[..., dict[str, Any]]
INGEST, SCORE, RETRAIN = "ingest_flight_outcomes", "score_flight_delay", "retrain_flight_delay"
LAST = {INGEST: "publish", SCORE: "consider_retraining", RETRAIN: "release", "performance_flight_delay": "measure"}
LAST_OF_ALL = LAST | {"maintain": "tend"}
TABLE = {INGEST: "features.flight_outcomes_v1", SCORE: "predictions.flight_delay"}


class _Airflow:
    """Calls the callbacks of the bundle's DAGs where Airflow would."""

    def __init__(self, bag: DagBag, context: Contexts, rooms: Platform) -> None:
        self._bag, self._context, self._rooms = bag, context, rooms

    def fails(self, dag_id: str, key: str | None, error: BaseException | None, task: str = "", **run: Any) -> None:
        """The last try of a task failed; Airflow calls the run's callback as well."""
        context = self._context(dag_id, task or LAST_OF_ALL[dag_id], key, error, **run)
        for callback in context["task"].on_failure_callback:
            callback(context)
        self.run_fails(dag_id, key, task, **run)

    def run_fails(self, dag_id: str, key: str | None, task: str = "", **run: Any) -> None:
        """A task was killed on its last try: it has no callback of its own."""
        context = self._context(dag_id, task or LAST_OF_ALL[dag_id], key, **run)
        self._bag.dags[dag_id].on_failure_callback(context)

    def succeeds(self, dag_id: str, key: str | None, skipped: bool = False, **run: Any) -> None:
        context = self._context(dag_id, LAST_OF_ALL[dag_id], key, **run)
        task = context["task"]
        for callback in task.on_skipped_callback if skipped else task.on_success_callback:
            callback(context)

    @property
    def told(self) -> list[Message]:
        return self._rooms.ledger.incidents.list_outbox()[::-1]


@pytest.fixture
def airflow(bag: DagBag, context: Contexts, rooms: Platform) -> _Airflow:
    return _Airflow(bag, context, rooms)


@pytest.fixture
def exporting(bag: DagBag) -> DAG:
    """The example's score DAG, had its model exports."""
    from include.mlops.orchestration.model_dags import score_dag

    specs = load_specs(ROOT / "include")
    exports = (Export.model_validate({"jdbc": {"connection": "crm", "table": "scores"}}),)
    model = specs.model("flight_delay").model_copy(update={"exports": exports})
    return score_dag(model, specs.group(model.features.group))


def _publish(rooms: Platform, dataset: str, ds: str) -> None:
    rooms.ledger.publications.record([Publication(dataset, date.fromisoformat(ds), 1, "meaning", "run")])


def test_a_failure_says_what_broke_when_how_bad_and_where_to_click(airflow: _Airflow) -> None:
    airflow.fails(INGEST, "2013-04-05", MlopsError("expected 8 columns, found 7"), "ingest")

    (told,) = airflow.told
    assert (told.event, told.kind, told.subject, told.ds) == ("opened", "failed", INGEST, date(2013, 4, 5))
    assert told.severity == "critical"
    assert told.title == "ingest_flight_outcomes: ingest failed for 2013-04-05"
    assert told.summary == "MlopsError: expected 8 columns, found 7"
    assert told.numbers == {"Try": "3"}
    assert told.links == {
        "Airflow task": "http://127.0.0.1:8080/dags/ingest_flight_outcomes/runs/scheduled__2013-04-05/tasks/ingest"
    }


def test_a_partition_that_does_not_come_is_late_and_says_what_to_do(airflow: _Airflow) -> None:
    airflow.fails(INGEST, "2013-04-05", NotReady("flight_outcomes 2013-04-05", ["the file x.csv"]), "wait")

    (told,) = airflow.told
    assert (told.kind, told.title) == ("late", "ingest_flight_outcomes: wait waited too long for 2013-04-05")
    assert (
        told.summary
        == "flight_outcomes 2013-04-05 waits for the file x.csv. Once that is there, clear the run to go on."
    )


def test_a_task_that_finds_its_inputs_missing_has_not_waited(airflow: _Airflow) -> None:
    airflow.fails(RETRAIN, "2013-04-05", NotReady("training", ["features of 2013-01-31"]), "train", params={})

    assert [message.title for message in airflow.told] == [f"{RETRAIN}: train lacks what it reads for 2013-04-05"]


def test_a_task_that_was_killed_is_told_by_its_run(airflow: _Airflow) -> None:
    """Verified in Airflow 3.3: a killed last try calls no callback of the task, and the run's callback in any case."""
    airflow.run_fails(SCORE, "2013-04-05", "score")

    (told,) = airflow.told
    assert (told.kind, told.title) == ("failed", "score_flight_delay: score failed for 2013-04-05")
    assert "killed" in told.summary
    assert "/tasks/score" in told.links["Airflow task"]


def test_a_task_without_an_exception_is_told_as_killed(airflow: _Airflow) -> None:
    airflow.fails(SCORE, "2013-04-05", None, "score")

    assert ["killed" in message.summary for message in airflow.told] == [True]


def test_a_run_that_no_task_is_known_of_links_to_its_page(airflow: _Airflow, bag: DagBag, context: Contexts) -> None:
    whole = context(SCORE, "score", "2013-04-05")
    without_task = {name: value for name, value in whole.items() if name not in ("ti", "task")}

    bag.dags[SCORE].on_failure_callback(without_task)

    (told,) = airflow.told
    assert told.title == "score_flight_delay failed for 2013-04-05"
    assert told.links == {"Airflow run": "http://127.0.0.1:8080/dags/score_flight_delay/runs/scheduled__2013-04-05"}


@pytest.mark.parametrize("error", [MlopsError("broken"), NotReady("x", ["y"])], ids=["failed", "late"])
def test_the_run_does_not_tell_again_what_its_task_told(airflow: _Airflow, rooms: Platform, error: MlopsError) -> None:
    airflow.fails(INGEST, "2013-04-05", error)

    assert len(airflow.told) == 1
    assert len(rooms.ledger.incidents.open_incidents()) == 1
    assert rooms.ledger.incidents.open_incidents()[0].repeats == 0


def test_the_next_night_adds_to_the_incident(airflow: _Airflow) -> None:
    airflow.fails(INGEST, "2013-04-05", MlopsError("broken"))
    airflow.run_fails(INGEST, "2013-04-06")

    assert [(message.event, message.ds.day) for message in airflow.told] == [("opened", 5), ("repeated", 6)]
    assert airflow.told[1].since == date(2013, 4, 5)


def test_an_export_that_failed_is_told_once_and_closed_by_an_export_alone(
    airflow: _Airflow, rooms: Platform, exporting: DAG, context: Contexts
) -> None:
    """The tasks beside it succeed in the same run."""
    failed = context(SCORE, LAST[SCORE], "2013-04-05", ServiceUnavailable("the database 'crm' did not answer"))
    export = exporting.get_task("export")
    failed |= {"dag": exporting, "task": export, "ti": SimpleNamespace(task_id="export", try_number=3)}
    for callback in export.on_failure_callback:
        callback(failed)
    airflow.succeeds(SCORE, "2013-04-05")
    exporting.on_failure_callback({key: value for key, value in failed.items() if key not in ("ti", "exception")})

    assert [(message.event, message.title) for message in airflow.told] == [
        ("opened", f"{SCORE}: export failed for 2013-04-05")
    ]
    for callback in export.on_success_callback:
        callback(context(SCORE, LAST[SCORE], "2013-04-06"))
    assert rooms.ledger.incidents.open_incidents() == []
    assert [message.event for message in airflow.told] == ["opened", "recovered"]


def test_an_export_that_was_killed_is_told_by_its_run(airflow: _Airflow, exporting: DAG, context: Contexts) -> None:
    run = context(SCORE, LAST[SCORE], "2013-04-05")
    exporting.on_failure_callback({key: value for key, value in run.items() if key != "ti"})

    assert [message.title for message in airflow.told] == [f"{SCORE} failed for 2013-04-05"]


def test_behind_the_frontier_nothing_is_told(airflow: _Airflow, rooms: Platform) -> None:
    for dag_id in (INGEST, SCORE):
        _publish(rooms, TABLE[dag_id], "2013-04-10")

        airflow.fails(dag_id, "2013-04-09", MlopsError("a backfill"), run_type="backfill")
        assert airflow.told == []

        airflow.fails(dag_id, "2013-04-10", MlopsError("the newest day"))
        assert [message.subject for message in airflow.told] == [dag_id]
        airflow.succeeds(dag_id, "2013-04-10")
        _forget(rooms)


@pytest.mark.parametrize("key", [None, "", "20130405", "April"])
def test_a_mistake_in_the_trigger_form_calls_nobody(airflow: _Airflow, key: str | None) -> None:
    for dag_id in (INGEST, SCORE, "performance_flight_delay"):
        airflow.fails(dag_id, key, MlopsError("expected a partition key"), run_type="manual")
    airflow.fails(RETRAIN, key, MlopsError("expected an as-of date"), run_type="manual", params={"as_of": None})

    assert airflow.told == []


def test_a_failed_retraining_is_no_emergency(airflow: _Airflow) -> None:
    """The live version goes on scoring."""
    airflow.fails(RETRAIN, "2013-04-05", MlopsError("one class"), "train", params={"as_of": None})
    airflow.fails("performance_flight_delay", "2013-04-05", MlopsError("no labels"))

    assert {message.subject: message.severity for message in airflow.told} == {
        RETRAIN: "warning",
        "performance_flight_delay": "warning",
    }


def test_upkeep_that_fails_is_told_for_the_day_of_its_run_and_recovers(airflow: _Airflow, rooms: Platform) -> None:
    sunday = {"start_date": datetime(2026, 3, 1, 3, tzinfo=UTC)}
    airflow.fails("maintain", None, MlopsError("1 table could not be tended"), **sunday)
    (told,) = airflow.told
    assert (told.subject, told.ds, told.severity) == ("maintain", date(2026, 3, 1), "warning")
    assert "1 table could not be tended" in told.summary

    airflow.succeeds("maintain", None, start_date=datetime(2026, 3, 8, 3, tzinfo=UTC))

    assert rooms.ledger.incidents.open_incidents() == []


def test_reports_that_stay_are_no_matter_of_the_tables_beside_them(
    airflow: _Airflow, rooms: Platform, bag: DagBag, context: Contexts
) -> None:
    sunday = {"start_date": datetime(2026, 3, 1, 3, tzinfo=UTC)}
    airflow.fails("maintain", None, PermissionError("reports/drift"), "delete_old_reports", **sunday)
    airflow.succeeds("maintain", None, **sunday)
    assert [message.title for message in airflow.told] == ["maintain: delete_old_reports failed for 2026-03-01"]
    assert [one.subject for one in rooms.ledger.incidents.open_incidents()] == ["maintain.delete_old_reports"]
    for callback in bag.dags["maintain"].get_task("delete_old_reports").on_success_callback:
        callback(context("maintain", "delete_old_reports", None, start_date=datetime(2026, 3, 8, 3, tzinfo=UTC)))
    assert rooms.ledger.incidents.open_incidents() == []


def test_a_retraining_by_hand_is_told_for_its_as_of_date_and_recovers(airflow: _Airflow, rooms: Platform) -> None:
    by_hand: dict[str, Any] = {"run_type": "manual", "params": {"as_of": "2013-04-07"}}
    airflow.fails(RETRAIN, None, MlopsError("one class"), "train", **by_hand)
    assert airflow.told[0].ds == date(2013, 4, 7)

    airflow.succeeds(RETRAIN, None, **by_hand)

    assert rooms.ledger.incidents.open_incidents() == []


@pytest.mark.parametrize("dag_id", sorted(LAST))
def test_a_run_that_goes_through_closes_what_had_failed_and_what_was_late(
    airflow: _Airflow, rooms: Platform, dag_id: str
) -> None:
    airflow.fails(dag_id, "2013-04-05", NotReady("x", ["y"]))
    airflow.fails(dag_id, "2013-04-06", MlopsError("broken"))

    airflow.succeeds(dag_id, "2013-04-06")

    assert rooms.ledger.incidents.open_incidents() == []
    assert [message.event for message in airflow.told] == ["opened", "opened", "recovered", "recovered"]


@pytest.mark.parametrize("dag_id", [SCORE, "performance_flight_delay"])
def test_a_last_task_that_is_skipped_closes_as_well(airflow: _Airflow, rooms: Platform, dag_id: str) -> None:
    airflow.fails(dag_id, "2013-04-05", MlopsError("broken"))

    airflow.succeeds(dag_id, "2013-04-05", skipped=True)

    assert rooms.ledger.incidents.open_incidents() == []


def test_scoring_well_does_not_close_a_broken_retraining(airflow: _Airflow, rooms: Platform) -> None:
    airflow.fails(RETRAIN, "2013-04-05", MlopsError("one class"))

    airflow.succeeds(SCORE, "2013-04-06")

    assert [incident.subject for incident in rooms.ledger.incidents.open_incidents()] == [RETRAIN]


def test_an_older_day_that_goes_through_closes_nothing(airflow: _Airflow, rooms: Platform) -> None:
    airflow.fails(INGEST, "2013-04-05", MlopsError("broken"))

    airflow.succeeds(INGEST, "2013-04-04", run_type="backfill")

    assert len(rooms.ledger.incidents.open_incidents()) == 1


def test_a_callback_that_cannot_reach_the_ledger_does_not_take_down_the_task(
    airflow: _Airflow, rooms: Platform, bag: DagBag, context: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    import structlog
    from airflow.sdk.execution_time.context import OutletEventAccessors
    from airflow.sdk.execution_time.task_runner import _run_task_state_change_callbacks

    monkeypatch.setenv("MLOPS_LEDGER_URL", f"sqlite:///{rooms.settings.state}/ledger.db?timeout=0.1")
    failed = context(INGEST, "publish", "2013-04-05", MlopsError("broken")) | {"outlet_events": OutletEventAccessors()}
    other = sqlite3.connect(rooms.settings.state / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (callback,) = failed["task"].on_failure_callback
    with pytest.raises(ServiceUnavailable):
        callback(failed)

    _run_task_state_change_callbacks(failed["task"], "on_failure_callback", failed, structlog.get_logger())

    other.close()
    assert airflow.told == []
    airflow.run_fails(INGEST, "2013-04-05", "publish")  # comes later, and tells what the task could not
    assert [message.title for message in airflow.told] == ["ingest_flight_outcomes: publish failed for 2013-04-05"]


def _forget(rooms: Platform) -> None:
    from sqlalchemy import delete

    from include.mlops.ledger.tables import incidents, outbox

    with rooms.ledger.begin() as connection:
        connection.execute(delete(outbox))
        connection.execute(delete(incidents))

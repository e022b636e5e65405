"""The loop through Airflow itself: the demo's history, first version and first nights, then a native backfill."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from include.demo.airflow_api import FINISHED, AirflowApi, until
from include.demo.run import Demo
from include.demo.scenario import Scenario
from include.demo.summary import summarise
from include.mlops.local.airflow import ADMIN, admin_password
from include.mlops.local.ports import free_port
from include.mlops.local.stack import LocalStack
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
MODEL, OTHER = "flight_delay", "arrival_delay"
FIRST = date(2013, 4, 5)
SCENARIO = Scenario(nights=3)  # 5 to 7 April: the shift of the 6th is confirmed on the 7th, outcomes of the 5th arrive


@dataclass(frozen=True)
class Played:
    demo: Demo
    airflow: AirflowApi
    settings: Settings
    printed: io.StringIO

    @property
    def platform(self) -> Platform:
        return self.demo.platform


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    settings = Settings(
        state=tmp_path_factory.mktemp("loop"), airflow_port=free_port(), mlflow_port=free_port(), spark_port=free_port()
    )
    printed = io.StringIO()
    with LocalStack(settings) as stack:
        airflow = AirflowApi(stack.addresses["airflow"], ADMIN, admin_password(settings))
        demo = Demo(settings, SCENARIO, airflow, stack, Console(file=printed, width=200))
        demo.play()
        yield Played(demo, airflow, settings, printed)


def test_every_night_is_published_scored_and_measured(played: Played) -> None:
    models = summarise(played.platform, FIRST)["models"]
    assert set(models) == {MODEL, OTHER}
    for found in models.values():
        nights = found["nights"]
        assert [night["ds"] for night in nights] == ["2013-04-05", "2013-04-06", "2013-04-07"]
        assert all(night["rows"] > 700 and night["version"] == 1 for night in nights)
        assert nights[0]["coverage"] > 0.9, "outcomes of the first night had landed by the third"
        assert found["versions"][0]["aliases"] == ["champion"]
    assert 0.5 < models[MODEL]["nights"][0]["realised"] < 1
    assert 15 < models[OTHER]["nights"][0]["realised"] < 25, "minutes"


def test_the_injected_shift_is_seen_then_confirmed_and_told_once(played: Played) -> None:
    verdicts = {v.ds: v for v in played.platform.ledger.monitoring.verdicts(MODEL, "drift")}
    assert [(verdicts[ds].bad, verdicts[ds].confirmed) for ds in SCENARIO.dates()] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert "carrier" in verdicts[date(2013, 4, 7)].detail["drifted"]
    told = [row for row in played.platform.alerts.outbox() if "drifted" in " ".join(row)]
    assert sum(MODEL in " ".join(row) for row in told) == 1


def test_predictions_carry_the_run_and_the_version_and_count_the_features_rows(played: Played) -> None:
    rows = played.platform.lake.read(f"predictions.{MODEL}", Interval.day(FIRST))
    features = played.platform.lake.read("features.scheduled_flights_v1", Interval.day(FIRST))
    assert rows.num_rows == features.num_rows
    assert set(rows["model_version"].to_pylist()) == {1}
    (run_id,) = set(rows["run_id"].to_pylist())
    assert run_id.startswith("asset_triggered__")
    assert not any(rows["in_sample"].to_pylist())


def test_the_links_of_a_task_open_its_report_for_those_who_signed_in(played: Played) -> None:
    run = next(run for run in played.airflow.runs("ingest_scheduled_flights") if run.key == str(FIRST))
    links = played.airflow._call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/validate/links")
    url = links["extra_links"]["Report"]
    assert httpx.get(url).status_code == 401
    token = played.airflow._client.headers["Authorization"].removeprefix("Bearer ")
    page = httpx.get(url, cookies={"_token": token})
    assert page.status_code == 200
    assert "expect_column_values_to_be_between" in page.text


def test_a_native_backfill_reaches_the_scores_and_acts_on_nothing(played: Played) -> None:
    ledger = played.platform.ledger
    interval = Interval(FIRST, FIRST + timedelta(days=1))
    before = _scores(played, interval)
    decisions, alerts = len(ledger.releases.decisions(MODEL)), len(played.platform.alerts.outbox())
    runs = {run.run_id for run in played.airflow.runs(f"score_{MODEL}")}
    played.airflow._call(
        "POST",
        "/backfills",
        json={
            "dag_id": "ingest_scheduled_flights",
            "from_date": f"{interval.first}T00:00:00Z",
            "to_date": f"{interval.last}T00:00:00Z",
            "reprocess_behavior": "completed",
            "max_active_runs": 1,
        },
    )
    wanted = {str(ds) for ds in interval}

    def scored_again() -> bool:
        new = [run for run in played.airflow.runs(f"score_{MODEL}") if run.run_id not in runs]
        assert not [run for run in new if run.state == "failed"]
        return {run.key for run in new if run.state in FINISHED} == wanted

    until(scored_again, 600, f"new score runs for {wanted}")
    assert _scores(played, interval) == before
    assert len(ledger.releases.decisions(MODEL)) == decisions
    assert len(played.platform.alerts.outbox()) == alerts


def test_a_bulk_run_over_the_same_days_gives_equal_rows_and_starts_nothing(played: Played) -> None:
    ledger, interval = played.platform.ledger, Interval(FIRST, FIRST + timedelta(days=1))
    before, scores = _features(played, interval), _scores(played, interval)
    decisions, alerts = len(ledger.releases.decisions(MODEL)), len(played.platform.alerts.outbox())
    runs = {run.run_id for run in played.airflow.runs(f"score_{MODEL}")}
    form = {"what": "scheduled_flights", "from": str(interval.first), "to": str(interval.last), "only": "all"}
    bulk = played.airflow.trigger("bulk", conf=form)
    assert (
        until(lambda: (s := played.airflow.state(bulk)) in FINISHED and s, 300, "the end of the bulk run") == "success"
    )
    table = "features.scheduled_flights_v1"
    assert {one.run_id for one in ledger.publications.over(table, interval).values()} == {bulk.run_id}
    assert (_features(played, interval), _scores(played, interval)) == (before, scores)
    told = played.airflow._call(
        "GET", f"/dags/bulk/dagRuns/{bulk.run_id}/taskInstances/announce/xcomEntries/return_value"
    )
    assert told["value"] in ([], "[]"), "its rows are those that were scored"
    assert {run.run_id for run in played.airflow.runs(f"score_{MODEL}")} == runs
    assert len(ledger.releases.decisions(MODEL)) == decisions
    assert len(played.platform.alerts.outbox()) == alerts


def test_playing_again_finds_everything_there(played: Played) -> None:
    runs = {dag: len(list(played.airflow.runs(dag))) for dag in ("bulk", f"retrain_{MODEL}", f"retrain_{OTHER}")}
    position = played.printed.tell()
    played.demo.play()
    printed = played.printed.getvalue()[position:]
    assert printed.count("is there already") == SCENARIO.nights
    assert runs == {dag: len(list(played.airflow.runs(dag))) for dag in runs}


def test_the_summary_is_plain_json(played: Played) -> None:
    assert json.loads(json.dumps(summarise(played.platform, FIRST)))["models"][MODEL]["live"][0]["version"] == 1


def _scores(played: Played, interval: Interval) -> list[tuple[object, ...]]:
    columns = ["ds", "carrier", "flight", "origin", "score"]
    return _ordered(played.platform.lake.read(f"predictions.{MODEL}", interval, columns))


def _features(played: Played, interval: Interval) -> list[tuple[object, ...]]:
    rows = played.platform.lake.read("features.scheduled_flights_v1", interval)
    return _ordered(rows.select(["ds", *(name for name in rows.column_names if name != "ds")]))


def _ordered(rows: pa.Table) -> list[tuple[object, ...]]:
    ordered = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in rows.column_names]))
    return [tuple(row.values()) for row in ordered.to_pylist()]

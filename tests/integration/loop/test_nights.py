"""The loop through Airflow itself: the demo's history, first version and first nights."""

from __future__ import annotations

import json
from datetime import date

import httpx
import pytest

from include.demo.summary import summarise
from include.mlops.spec.interval import Interval
from tests.integration.loop.play import FIRST, MODEL, OTHER, SCENARIO, Played

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


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
    page = httpx.get(url, cookies={"_token": played.airflow.token()})
    assert page.status_code == 200
    assert "expect_column_values_to_be_between" in page.text


def test_playing_again_finds_everything_there(played: Played) -> None:
    runs = {dag: len(list(played.airflow.runs(dag))) for dag in ("bulk", f"retrain_{MODEL}", f"retrain_{OTHER}")}
    position = played.printed.tell()
    played.demo.play()
    printed = played.printed.getvalue()[position:]
    assert printed.count("is there already") == SCENARIO.nights
    assert runs == {dag: len(list(played.airflow.runs(dag))) for dag in runs}


def test_the_summary_is_plain_json(played: Played) -> None:
    assert json.loads(json.dumps(summarise(played.platform, FIRST)))["models"][MODEL]["live"][0]["version"] == 1

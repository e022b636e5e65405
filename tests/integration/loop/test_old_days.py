"""Days that were played, made again by Airflow's backfill and by a bulk run: equal rows, and nobody is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.demo.airflow_api import FINISHED, until
from include.mlops.spec.interval import Interval
from tests.integration.loop.play import FIRST, MODEL, OTHER, Played

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_a_native_backfill_reaches_the_scores_and_acts_on_nothing(played: Played) -> None:
    ledger = played.platform.ledger
    interval = Interval(FIRST, FIRST + timedelta(days=1))
    before = _scores(played, interval)
    decisions, alerts = len(ledger.releases.decisions(MODEL)), len(played.platform.alerts.outbox())
    runs = {run.run_id for run in played.airflow.runs(f"score_{MODEL}")}
    _backfill(played, "ingest_scheduled_flights", interval)
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


def test_a_corrected_file_of_an_old_day_makes_again_just_what_was_made_from_it(played: Played) -> None:
    ledger, corrected = played.platform.ledger, FIRST - timedelta(days=1)
    readers = Interval(FIRST + timedelta(days=1), FIRST + timedelta(days=2))  # they read the days up to two before
    every = Interval(FIRST, readers.last)
    tables = ("features.scheduled_flights_v1", f"predictions.{MODEL}", f"predictions.{OTHER}")
    before = {table: ledger.publications.over(table, every) for table in tables}
    file = Path(played.settings.landing) / "flight_outcomes" / f"{corrected}.csv"
    header, _, *rest = file.read_text().splitlines(keepends=True)
    file.write_text("".join([header, *rest]))

    dag = "ingest_flight_outcomes"
    known = {run.run_id for run in played.airflow.runs(dag)}
    _backfill(played, dag, Interval.day(corrected))
    run = until(lambda: next((r for r in played.airflow.runs(dag) if r.run_id not in known), None), 60, "a run")
    assert until(lambda: (s := played.airflow.state(run)) in FINISHED and s, 300, "the end of the run") == "success"

    for table in tables:
        after = ledger.publications.over(table, every)
        assert {ds for ds in every if after[ds] != before[table][ds]} == set(readers), table
        assert {after[ds].run_id for ds in readers} == {run.run_id}


def _backfill(played: Played, dag_id: str, interval: Interval) -> None:
    """As its form does, also for days that ran before."""
    played.airflow._call(
        "POST",
        "/backfills",
        json={
            "dag_id": dag_id,
            "from_date": f"{interval.first}T00:00:00Z",
            "to_date": f"{interval.last}T00:00:00Z",
            "reprocess_behavior": "completed",
            "max_active_runs": 1,
        },
    )


def _scores(played: Played, interval: Interval) -> list[tuple[object, ...]]:
    columns = ["ds", "carrier", "flight", "origin", "score"]
    return _ordered(played.platform.lake.read(f"predictions.{MODEL}", interval, columns))


def _features(played: Played, interval: Interval) -> list[tuple[object, ...]]:
    rows = played.platform.lake.read("features.scheduled_flights_v1", interval)
    return _ordered(rows.select(["ds", *(name for name in rows.column_names if name != "ds")]))


def _ordered(rows: pa.Table) -> list[tuple[object, ...]]:
    ordered = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in rows.column_names]))
    return [tuple(row.values()) for row in ordered.to_pylist()]

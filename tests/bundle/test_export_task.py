"""The task `export` of a model whose file declares exports: from that file to what the task writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from include.mlops.ledger.publications import Publication
from include.mlops.settings import ROOT
from include.mlops.spec.load import load_specs

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

MODEL, DAY = "flight_delay", date(2013, 4, 5)
EXPORTS = "\nexports:\n  - csv: {path: 'drop/{ds}.csv', columns: [carrier, flight, origin, score]}\n"


def _publish_scores(rooms: Platform) -> None:
    table = f"predictions.{MODEL}"
    columns = {"carrier": "string", "flight": "int", "origin": "string", "score": "double", "model_version": "int"}
    rooms.lake.create(table, {**columns, "ds": "date"})
    rows = pa.table({"carrier": ["AA"], "flight": [1], "origin": ["JFK"], "score": [0.25], "model_version": [3]})
    rows = rows.append_column("ds", pa.array([DAY])).cast(rooms.lake.no_rows(table).schema)
    snapshot = rooms.lake.replace(table, rows, [DAY])
    rooms.ledger.publications.record([Publication(table, DAY, 1, "meaning", "night", snapshot_id=snapshot)])


def test_the_task_writes_the_day_of_its_run(
    rooms: Platform, context: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.execution_time.context import set_current_context

    from include.mlops.orchestration.model_dags import score_dag

    for folder in ("feature_groups", "models"):
        shutil.copytree(ROOT / "include" / folder, tmp_path / "specs" / folder)
    with (tmp_path / "specs" / "models" / f"{MODEL}.yaml").open("a") as file:
        file.write(EXPORTS)
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "specs"))
    specs = load_specs(tmp_path / "specs")
    dag = score_dag(specs.model(MODEL), specs.group("scheduled_flights"))
    _publish_scores(rooms)

    with set_current_context(context(f"score_{MODEL}", "score", str(DAY))):
        done = dag.get_task("export").python_callable()

    folder = rooms.settings.state / "exports" / "drop"
    assert (folder / f"{DAY}.csv").read_text().splitlines()[1] == '"AA",1,"JFK",0.25,3,2013-04-05'
    assert done == {"model": MODEL, "rows": {f"csv {folder}/{{ds}}.csv": {str(DAY): 1}}}

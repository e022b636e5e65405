"""The DAGs that the example's specifications give, as Airflow itself sees them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.mlops.local.airflow_settings import read_airflow_settings
from include.mlops.settings import ROOT
from include.mlops.spec.export import Export
from include.mlops.spec.load import load_specs

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

SPECS = load_specs(ROOT / "include")
EXPECTED = {
    "bulk",
    "deliver_alerts",
    "doctor",
    "maintain",
    *(f"ingest_{name}" for name in SPECS.groups),
    *(f"{kind}_{name}" for name in SPECS.models for kind in ("score", "performance", "retrain")),
}
PARTITIONED = sorted(EXPECTED - {"bulk", "deliver_alerts", "doctor", "maintain"})


def test_the_example_has_feature_groups_and_a_model() -> None:
    assert {"scheduled_flights", "flight_outcomes"} <= set(SPECS.groups)
    assert "flight_delay" in SPECS.models


def test_every_dag_is_there_and_no_file_has_an_import_error(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == EXPECTED


@pytest.mark.parametrize("dag_id", ["score_flight_delay", "ingest_airport_weather"])
def test_the_process_of_a_task_makes_its_own_dag_and_not_those_of_other_specifications(
    parse: Callable[[Path], DagBag], monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)  # as Airflow's task runner does
    kind, _, name = dag_id.partition("_")
    file = "ingest.py" if kind == "ingest" else "models.py"
    made = set(parse(ROOT / "dags" / file).dags)
    assert dag_id in made
    assert all(other.endswith(f"_{name}") for other in made)


def test_airflow_parses_the_files_of_dags_alone(bag: DagBag) -> None:
    parsed = {Path(file).resolve().relative_to(ROOT).parts[0] for file in bag.file_last_changed}

    assert parsed == {"dags"}


@pytest.mark.parametrize("dag_id", sorted(EXPECTED))
class TestEveryDag:
    def test_says_what_it_does_and_whose_it_is(self, bag: DagBag, dag_id: str) -> None:
        dag = bag.dags[dag_id]

        assert dag.description
        assert dag.doc_md
        assert dag.tags
        assert all(task.owner and task.owner != "airflow" for task in dag.tasks)
        assert all(task.doc_md for task in dag.tasks)

    def test_runs_one_at_a_time(self, bag: DagBag, dag_id: str) -> None:
        assert bag.dags[dag_id].max_active_runs == 1

    def test_retries_by_the_policy(self, bag: DagBag, dag_id: str) -> None:
        from include.mlops.orchestration.defaults import RETRIES

        for task in bag.dags[dag_id].tasks:
            assert task.retry_policy is RETRIES
            assert task.retries == (0 if dag_id in ("deliver_alerts", "doctor") else 2)
            assert task.retry_delay == timedelta(seconds=15)

    def test_ends_a_task_that_hangs(self, bag: DagBag, dag_id: str) -> None:
        for task in bag.dags[dag_id].tasks:
            assert bool(task.execution_timeout) is (dag_id != "bulk")

    def test_has_a_form_whose_proposals_are_valid(self, bag: DagBag, dag_id: str) -> None:
        params = bag.dags[dag_id].params

        assert params.validate() == params.dump()
        assert all({"type", "title"} <= set(params.get_param(name).schema) for name in params)

    def test_is_the_same_after_serialisation(self, bag: DagBag, dag_id: str) -> None:
        stored, loaded = _round_trip(bag.dags[dag_id])

        assert loaded.dag_id == dag_id
        assert loaded.task_ids == bag.dags[dag_id].task_ids
        assert loaded.timetable.partitioned is (dag_id in PARTITIONED)
        assert _serialised(loaded.timetable) == stored["dag"]["timetable"]

    def test_is_serialised_alike_at_each_parse(self, bag: DagBag, parse: Any, dag_id: str) -> None:
        again = parse(Path(bag.dags[dag_id].fileloc)).dags[dag_id]

        assert _round_trip(again)[0] == _round_trip(bag.dags[dag_id])[0]


@pytest.mark.parametrize(
    ("dag_id", "field", "value"),
    [
        ("bulk", "what", "no_such_group"),
        ("bulk", "from", "yesterday"),
        ("bulk", "to", "2013-02-30"),
        ("bulk", "only", "some"),
        ("bulk", "version", "2"),
        ("bulk", "dependents", "both"),
        ("retrain_flight_delay", "as_of", "2013-4-5"),
        ("retrain_flight_delay", "as_of", ""),
    ],
)
def test_a_form_refuses_what_no_run_can_use(bag: DagBag, dag_id: str, field: str, value: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = bag.dags[dag_id].params

    with pytest.raises(ParamValidationError, match=field):
        type(params)({**params, field: _filled_in(params.get_param(field), value)}).validate()


def test_the_bulk_form_proposes_the_days_before_the_schedules_begin(bag: DagBag) -> None:
    proposed = bag.dags["bulk"].params.dump()

    assert (proposed["from"], proposed["to"]) == ("2013-01-01", "2013-04-02")
    assert (proposed["only"], proposed["version"], proposed["dependents"]) == ("missing", None, "start")
    assert proposed["approve"], "whoever fills in the form sees the plan first"


@pytest.mark.parametrize("dag_id", PARTITIONED)
def test_a_failure_is_told_by_each_task_and_by_the_run(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]

    assert dag.has_on_failure_callback
    assert all(task.on_failure_callback for task in dag.tasks)
    assert [task for task in dag.leaves if task.on_success_callback] == dag.leaves, "nothing would close the incident"


def test_nobody_is_called_for_a_bulk_run(bag: DagBag) -> None:
    assert not bag.dags["bulk"].has_on_failure_callback
    assert not any(task.on_failure_callback for task in bag.dags["bulk"].tasks)


def test_a_bulk_run_plans_asks_computes_and_announces_even_where_some_days_failed(bag: DagBag) -> None:
    dag = bag.dags["bulk"]

    order = [task.task_id for task in dag.topological_sort()]
    assert order[:3] == ["plan", "approve", "compute"]
    assert {task.task_id: task.trigger_rule for task in dag.leaves} == {
        "announce": "all_done_min_one_success",
        "complete": "all_success",
    }, "the run fails with compute, although announce goes through"
    assert {asset.name for asset in dag.get_task("announce").outlets} == set(SPECS.groups)
    assert not any(dag.get_task(name).outlets for name in ("plan", "compute"))


def test_tasks_that_share_a_resource_share_its_pool(bag: DagBag) -> None:
    pools = {f"{dag_id}.{task.task_id}": task.pool for dag_id, dag in bag.dags.items() for task in dag.tasks}

    assert {name for name, pool in pools.items() if pool == "training"} == {f"retrain_{m}.train" for m in SPECS.models}
    assert {name for name, pool in pools.items() if pool == "spark"} == {
        "bulk.compute",
        "maintain.tend",
        *(f"ingest_{group}.{task}" for group in SPECS.groups for task in ("ingest", "publish")),
    }


def test_every_pool_is_made_by_the_settings_file(bag: DagBag) -> None:
    made = {pool["name"] for pool in read_airflow_settings(ROOT / "airflow_settings.yaml").pools}
    used = {task.pool for dag in bag.dags.values() for task in dag.tasks}

    assert used - {"default_pool"} <= made, "a task of a pool that is not there waits for ever"


@pytest.mark.parametrize("group", sorted(SPECS.groups))
def test_a_feature_group_waits_ingests_validates_publishes(bag: DagBag, group: str) -> None:
    dag = bag.dags[f"ingest_{group}"]

    assert [task.task_id for task in dag.topological_sort()] == ["wait", "ingest", "validate", "publish"]
    assert [asset.name for asset in dag.get_task("publish").outlets] == [group]


def test_a_group_whose_reader_wants_it_ends_by_making_again_what_was_overtaken() -> None:
    from include.mlops.orchestration.ingest_dag import ingest_dag

    outcomes, flights = SPECS.groups["flight_outcomes"], SPECS.groups["scheduled_flights"]
    assert SPECS.readers("flight_outcomes") == [flights]

    dag = ingest_dag(outcomes, readers=[flights.model_copy(update={"restatement": "recompute"})])

    assert [task.task_id for task in dag.topological_sort()][-2:] == ["publish", "restate_dependents"]
    (last,) = dag.leaves
    assert last.pool == "spark"
    assert last.on_success_callback
    assert last.on_skipped_callback


@pytest.mark.parametrize("model", sorted(SPECS.models))
def test_a_model_listens_to_its_features_its_labels_and_its_own_requests(bag: DagBag, model: str) -> None:
    spec = SPECS.models[model]
    kinds = ("score", "performance", "retrain")
    heard = {kind: bag.dags[f"{kind}_{model}"].timetable.asset_condition for kind in kinds}

    assert {kind: asset.name for kind, asset in heard.items()} == {
        "score": spec.features.group,
        "performance": spec.label.group,
        "retrain": f"{model}_retraining",
    }
    asks = bag.dags[f"score_{model}"].get_task("consider_retraining")
    assert [asset.name for asset in asks.outlets] == [f"{model}_retraining"]


def test_scores_are_exported_beside_the_monitoring_where_a_model_asks_for_it_and_only_there(bag: DagBag) -> None:
    from include.mlops.orchestration.defaults import RETRIES
    from include.mlops.orchestration.model_dags import score_dag

    for name, model in SPECS.models.items():
        features = SPECS.groups[model.features.group]
        without = score_dag(model.model_copy(update={"exports": ()}), features)
        asked = (Export.model_validate({"csv": {"path": "drop/{ds}.csv"}}),)
        dag = score_dag(model.model_copy(update={"exports": asked}), features)

        assert bag.dags[f"score_{name}"].has_task("export") is bool(model.exports)
        assert without.task_ids == ["score", "monitor", "consider_retraining"]
        assert set(dag.task_ids) == {*without.task_ids, "export"}
        export = dag.get_task("export")
        assert (export.upstream_task_ids, export.downstream_task_ids) == ({"score"}, set())
        assert export.retry_policy is RETRIES
        assert export.doc_md
        assert export.on_failure_callback
        assert export.on_success_callback
        assert _round_trip(dag)[1].task_ids == dag.task_ids


def _filled_in(param: Any, value: str) -> Any:
    return type(param)(value, **param.schema)


def _round_trip(dag: Any) -> tuple[dict[str, Any], Any]:
    """What the database keeps of a DAG, and the DAG that the scheduler makes of it."""
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.to_dict(dag)
    return stored, DagSerialization.from_dict(stored)


def _serialised(timetable: Any) -> Any:
    from airflow.serialization.encoders import encode_timetable

    return encode_timetable(timetable)

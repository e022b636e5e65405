"""Three DAGs a model: score each published partition, measure it once labels arrive, retrain when a night asks."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, PartitionedAssetTimetable, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.mlops.errors import WrongTrigger
from include.mlops.orchestration.assets import predictions, published, retraining
from include.mlops.orchestration.defaults import Context, day, default_args, doc, partition, platform, run_url
from include.mlops.orchestration.watch import Watch
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform
    from include.mlops.steps.release import Released

EXPORT = "export"


def score_dag(model: Model, features: FeatureGroup) -> DAG:
    """Runs for each published partition of the model's features, backfilled ones included."""
    parts = (EXPORT,) if model.exports else ()
    watch = Watch(f"score_{model.name}", model.predictions, told=model.alerts, parts=parts)
    with DAG(
        dag_id=watch.dag_id,
        description=f"Nightly predictions of {model.name}, drift, and whether to retrain",
        doc_md=doc(
            f"### Score {model.name}\n{model.description}\n\n"
            f"Each published partition of `{features.name}` is scored by the version that was live for it and appears "
            f"in `{model.predictions}` once it has passed its gate; `{model.predictions}_latest` shows the newest "
            "day.\n\n"
            "- **again, or by hand**: clear the run, or trigger with a Partition Key such as `2013-04-05`\n"
            "- **history**: backfill the features' DAG; its events reach this one",
            f"models/{model.name}.yaml",
        ),
        schedule=PartitionedAssetTimetable(assets=published(features)),
        max_active_runs=1,
        default_args=default_args(model.owner, watch.task_failed),
        on_failure_callback=watch.run_failed,
        tags=["score", "model", model.name],
    ) as dag:

        @task(outlets=[predictions(model)], doc_md="Predict with the live version; publish what passes the gate.")
        def score() -> Any:
            from include.mlops.steps.scoring.score import score as step

            context = get_current_context()
            rooms = platform()
            ds = partition(context)
            result = step(rooms, rooms.specs.model(model.name), Interval.day(ds), context["run_id"])
            context["ti"].xcom_push(key="mlflow_url", value=rooms.registry.version_url(model.name, result.versions[ds]))
            return {"rows": result.rows[ds], "version": result.versions[ds], "mean": result.mean_score[ds]}

        @task(
            doc_md="Evidently on bounded samples against the training profile. The link Report opens it. Realised "
            "performance that was measured before is measured again where the model says `restatement: recompute`."
        )
        def monitor() -> Any:
            from include.mlops.steps.history.restatement import remeasure
            from include.mlops.steps.monitoring.monitor import monitor as step

            context = get_current_context()
            rooms = platform()
            spec, ds = rooms.specs.model(model.name), partition(context)
            result = step(rooms, spec, ds, context["run_id"])
            remeasure(rooms, spec, Interval.day(ds), context["run_id"])
            context["ti"].xcom_push(key="report_url", value=rooms.report_url(result.verdict.report or ""))
            return {"bad": result.verdict.bad, "confirmed": result.verdict.confirmed, **result.verdict.detail}

        @task(
            outlets=[retraining(model)],
            on_success_callback=watch.recovered,
            on_skipped_callback=watch.recovered,
            doc_md="Starts the retraining DAG where drift, performance or age asks for it, at the frontier only; "
            "skipped otherwise.",
        )
        def consider_retraining() -> str:
            from include.mlops.steps.monitoring.retraining import consider_retraining as step

            context = get_current_context()
            rooms = platform()
            found = step(rooms, rooms.specs.model(model.name), partition(context), context["run_id"])
            if not found.asked:
                raise AirflowSkipException(found.answer.reason)
            return found.answer.reason

        scored = score()
        scored >> monitor() >> consider_retraining()
        if model.exports:
            scored >> _export_task(model, watch.part(EXPORT))
    return dag


def _export_task(model: Model, watch: Watch) -> Any:
    """Beside the monitoring: neither waits for the other, and neither's failure holds up the other."""

    @task(
        task_id=EXPORT,
        on_failure_callback=watch.task_failed,
        on_success_callback=watch.recovered,
        doc_md="Write the published scores where the model's `exports` say. A day that is there as published is left "
        "alone; a failure leaves the scores published.",
    )
    def export() -> Any:
        from include.mlops.steps.handover import pack
        from include.mlops.steps.scoring.export import export as step

        context = get_current_context()
        rooms = platform()
        spec = rooms.specs.model(model.name)
        return pack(step(rooms, spec, Interval.day(partition(context)), context["run_id"]))

    return export()


def performance_dag(model: Model, labels: FeatureGroup) -> DAG:
    """Runs for each published partition of the labels."""
    watch = Watch(f"performance_{model.name}", labels.table, "warning", model.alerts)
    with DAG(
        dag_id=watch.dag_id,
        description=f"Realised performance of {model.name}, once labels arrive",
        doc_md=doc(
            f"### Performance of {model.name}\nEach published partition of `{labels.name}` is joined with what was "
            "predicted for it. Metrics, coverage and the verdict are kept in the ledger.",
            f"models/{model.name}.yaml",
        ),
        schedule=PartitionedAssetTimetable(assets=published(labels)),
        max_active_runs=1,
        default_args=default_args(model.owner, watch.task_failed),
        on_failure_callback=watch.run_failed,
        tags=["performance", "model", model.name],
    ) as dag:

        @task(
            on_success_callback=watch.recovered,
            on_skipped_callback=watch.recovered,
            doc_md="Join predictions with outcomes; skipped where the day was not scored.",
        )
        def measure() -> Any:
            from include.mlops.steps.monitoring.performance import measure as step

            context = get_current_context()
            rooms = platform()
            found = step(rooms, rooms.specs.model(model.name), Interval.day(partition(context)), context["run_id"])
            if not found:
                raise AirflowSkipException(f"{partition(context)} was not scored by {model.name}")
            return {**found[0].metrics, "coverage": found[0].coverage}

        measure()
    return dag


def retrain_dag(model: Model) -> DAG:
    """Runs for a retraining request, or by hand with a form."""
    watch = Watch(f"retrain_{model.name}", severity="warning", told=model.alerts, day=_as_of)
    with DAG(
        dag_id=watch.dag_id,
        description=f"Train, register and judge a new version of {model.name}",
        doc_md=doc(
            f"### Retrain {model.name}\nTrains on the {model.training.window} days before a holdout of "
            f"{model.training.holdout} days, as known on the as-of date, registers the version in MLflow as "
            "`challenger`, and compares it with `champion` on the same holdout rows.\n\n"
            "- started by `consider_retraining` of the score DAG (drift, performance, age)\n"
            "- **by hand**: Trigger, with the as-of date and a reason",
            f"models/{model.name}.yaml",
        ),
        schedule=PartitionedAssetTimetable(assets=retraining(model)),
        max_active_runs=1,
        default_args=default_args(model.owner, watch.task_failed),
        on_failure_callback=watch.run_failed,
        params={
            "as_of": Param(
                None,
                type=["null", "string"],
                format="date",
                title="As-of date",
                description="Train on what was known on this day. Empty: the run's partition key.",
            ),
            "reason": Param("", type="string", title="Reason", description="Kept in the audit log."),
        },
        tags=["retrain", "model", model.name],
    ) as dag:

        @task(
            pool="training",
            doc_md="Fit on the pinned training set and register the version. The link MLflow opens the run.",
        )
        def train() -> Any:
            from include.mlops.steps.training.train import train as step

            context = get_current_context()
            rooms = platform()
            spec = rooms.specs.model(model.name)
            result = step(rooms, spec, _as_of(context), context["run_id"], airflow_run_url=run_url(context))
            context["ti"].xcom_push(key="mlflow_url", value=result.run_url)
            return {"version": result.version, "mlflow_run": result.mlflow_run, "metrics": dict(result.metrics)}

        @task(
            on_success_callback=watch.recovered,
            doc_md="The gate: champion and challenger on the same holdout rows. The decision goes to the audit log.",
        )
        def release(trained: Any) -> Any:
            from include.mlops.steps.release import release as step

            context = get_current_context()
            rooms = platform()
            spec = rooms.specs.model(model.name)
            result = step(rooms, spec, trained["version"], _as_of(context), _actor(context), context["run_id"])
            context["ti"].xcom_push(key="mlflow_url", value=result.version_url)
            _announce(rooms, spec, result, run_url(context), _as_of(context))
            return {"outcome": result.outcome, "reason": result.reason, "first_ds": str(result.first_ds)}

        release(train())
    return dag


def _as_of(context: Context) -> date:
    """The form's date, else the partition key. Raises WrongTrigger where neither is usable."""
    chosen = context["params"].get("as_of")
    if not chosen and not context.get("partition_key"):
        raise WrongTrigger("expected an as-of date, found none; trigger again with the field As-of date filled in")
    return day(chosen, "As-of date") if chosen else partition(context)


def _actor(context: Context) -> str:
    run = context["dag_run"]
    who = getattr(run, "triggering_user_name", None) or "retraining policy"
    reason = context["params"].get("reason")
    return f"{who}: {reason}" if reason else who


def _announce(rooms: Platform, model: Model, released: Released, task_url: str, as_of: date) -> None:
    from include.mlops.alerts.alert import Alert

    rooms.alerts.note(
        Alert(
            kind="release",
            subject=model.name,
            ds=as_of,
            severity="info",
            title=f"{model.name} v{released.version} was {released.outcome}",
            summary=released.reason,
            numbers={name: f"{value:.4f}" for name, value in released.metrics.items()},
            links={"Model version": released.version_url, "Airflow task": task_url},
            channel=model.alerts.channel,
        )
    )

"""One DAG a feature group: wait, ingest, validate, publish; a run is a partition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronPartitionTimetable, PartitionedAssetTimetable, XComArg, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.mlops.orchestration.assets import landed, published
from include.mlops.orchestration.defaults import default_args, doc, platform
from include.mlops.orchestration.spark_task import spark_task
from include.mlops.orchestration.waiting import WaitForLanded, WaitForPartition
from include.mlops.orchestration.watch import WAIT, Watch
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.handover import pack, unpack


def ingest_dag(group: FeatureGroup, others: Sequence[FeatureGroup] = (), readers: Sequence[FeatureGroup] = ()) -> DAG:
    """Midnight by midnight in the data's own time zone; nights missed while Airflow was down are made up.

    `others` are the groups that it reads, for the graph: the wait looks at what they published, not at their events.
    `readers` read this one; where one of them wants it, a last task makes its overtaken days again.
    """
    zone = ZoneInfo(group.timezone)
    restates = any(reader.restatement == "recompute" for reader in readers)
    watch = Watch(group.ingestion, group.table)
    reads = "".join(f"\n- reads `{name}` of the days [{first}, {last}]" for name, (first, last) in group.reads.items())
    with DAG(
        dag_id=watch.dag_id,
        description=group.description,
        doc_md=doc(
            f"### Publish `{group.table}`, a day at a time\n{group.description}\n\n"
            f"- partition `ds` is due {group.schedule.delay} day(s) after its midnight, {group.timezone}{reads}\n"
            "- a file that is missing is waited for without a worker slot\n"
            "- **backfill**: any interval, from the DAG's Backfill tab; **again**: clear the run; **by hand**: trigger "
            "with a Partition Key such as `2013-04-05`. All of them replace the partition",
            f"feature_groups/{group.name}/feature_group.yaml",
        ),
        schedule=CronPartitionTimetable(
            "0 0 * * *", timezone=group.timezone, run_offset=-group.schedule.delay, key_format="%Y-%m-%d"
        ),
        start_date=datetime.combine(group.schedule.start, time(), zone),
        end_date=datetime.combine(group.schedule.end, time(), zone) if group.schedule.end else None,
        catchup=True,
        max_active_runs=1,
        default_args=default_args(group.owner, watch.task_failed),
        on_failure_callback=watch.run_failed,
        tags=["ingest", "features", group.name],
    ) as dag:
        _steps(group, others, watch, WaitForPartition, restates=restates)
    return dag


def ingest_landed_dag(
    group: FeatureGroup, others: Sequence[FeatureGroup] = (), readers: Sequence[FeatureGroup] = ()
) -> DAG:
    """Beside the schedule: a run for each day that the DAG `landed` says is to be ingested now.

    It is the same work, with the same incidents: what was late and now goes through is told as recovered.
    """
    restates = any(reader.restatement == "recompute" for reader in readers)
    watch = Watch(group.ingestion, group.table)
    with DAG(
        dag_id=f"ingest_landed_{group.name}",
        description=f"{group.name}: days whose file came late or was corrected",
        doc_md=doc(
            f"### Publish days of `{group.table}` as their files land\nStarted by the DAG `landed` for a file that "
            "came after its day's deadline, that was corrected, or whose day the schedule does not have. All else is "
            f"left to `ingest_{group.name}`.\n\n- skipped where the day was published from that very file meanwhile",
            f"feature_groups/{group.name}/feature_group.yaml",
        ),
        schedule=PartitionedAssetTimetable(assets=landed(group)),
        max_active_runs=1,
        default_args=default_args(group.owner, watch.task_failed),
        on_failure_callback=watch.run_failed,
        tags=["ingest", "features", group.name],
    ) as dag:
        _steps(group, others, watch, WaitForLanded, restates=restates)
    return dag


def _steps(
    group: FeatureGroup,
    others: Sequence[FeatureGroup],
    watch: Watch,
    wait: type[WaitForPartition],
    *,
    restates: bool,
) -> None:
    """Wait, ingest, validate, publish, in the DAG that is being made."""

    @task(doc_md="Great Expectations on the staged snapshot. The link Report shows every result.")
    def validate(ingested: Any) -> Any:
        from include.mlops.steps.ingestion.ingest import Ingested
        from include.mlops.steps.ingestion.validate import validate as step

        rooms = platform()
        result = step(rooms, rooms.specs.group(group.name), unpack(Ingested, ingested))
        get_current_context()["ti"].xcom_push(key="report_url", value=rooms.report_url(result.report))
        return pack(result)

    waiting = wait(task_id=WAIT, group=group, doc_md="For the landed file and the partitions that are read.")
    ingested = spark_task(
        "ingest",
        "ingest",
        {"group": group.name, "lacking": waiting.output},
        inlets=[published(o) for o in others],
        doc_md="Landed file to staged snapshot; malformed rows to quarantine.",
    )
    last = spark_task(
        "publish",
        "publish",
        {"group": group.name, "ingested": ingested, "validated": validate(ingested)},
        outlets=[published(group)],
        on_success_callback=None if restates else watch.recovered,
        doc_md="One commit makes the partition visible. Refused where a critical expectation failed.",
    )
    if restates:
        last >> _restate_dependents(group, watch)


def _restate_dependents(group: FeatureGroup, watch: Watch) -> XComArg:
    return spark_task(
        "restate_dependents",
        "restate_dependents",
        {"group": group.name},
        received=_skipped_where_nothing,
        on_success_callback=watch.recovered,
        on_skipped_callback=watch.recovered,
        doc_md="Makes again what was made from this partition when it had other rows, or none, where its specification "
        "says `restatement: recompute`; skipped where there is nothing.",
    )


def _skipped_where_nothing(restated: Any) -> Any:
    if not restated["made"]:
        raise AirflowSkipException("nothing that is to be made again was made from other rows of this partition")
    return restated

"""DAGs that serve all specifications: alert delivery, the doctor, maintenance, and the report of broken ones."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, task

from include.mlops.orchestration.defaults import default_args, platform
from include.mlops.orchestration.spark_task import spark_task
from include.mlops.orchestration.watch import Watch, day_of_run
from include.mlops.spec.load import Specs

log = logging.getLogger(__name__)
OWNER = "platform"
REPORTS = "delete_old_reports"


def outbox_dag() -> DAG:
    """Delivers what Slack did not take at once."""
    with DAG(
        dag_id="deliver_alerts",
        description="Deliver alerts that are still in the outbox",
        doc_md="### Deliver alerts\nAlerts that Slack did not take (down, slow, rate-limited, or no token yet) wait in "
        "the ledger's outbox. `python -m include.mlops alerts` shows them.",
        schedule=timedelta(minutes=10),
        start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
        catchup=False,
        max_active_runs=1,
        default_args=default_args(OWNER) | {"retries": 0},  # the next one is ten minutes away
        tags=["alerts"],
    ) as dag:

        @task(doc_md="Never fails for Slack's sake.")
        def flush() -> Any:
            from include.mlops.steps.handover import pack

            return pack(platform().alerts.flush())

        flush()
    return dag


def doctor_dag() -> DAG:
    """What `python -m include.mlops doctor` does, as a task sees it: with Airflow's connections."""
    with DAG(
        dag_id="doctor",
        description="Check the services that tasks work with",
        doc_md="### Doctor\nTrigger it after a change of settings or connections: each service is asked whether it "
        "answers, in the right version, and takes what tasks will write. The task's log has a line for each, and fails "
        "with what to mend.",
        schedule=None,
        max_active_runs=1,
        default_args=default_args(OWNER) | {"retries": 0},  # what is wrong now is what was asked
        tags=["operations"],
    ) as dag:

        @task(doc_md="One line in the log for each service; fails where something is to be mended.")
        def examine() -> dict[str, str]:
            from include.mlops.errors import SettingsError
            from include.mlops.steps.doctor import examine as step

            found = {}
            for check in step(platform()):
                log.info("%s %s: %s", "wrong" if check.wrong else "good", check.name, check.wrong or check.found)
                found[check.name] = check
            if wrong := [f"{name}: {check.wrong}" for name, check in found.items() if check.wrong]:
                raise SettingsError("\n".join([f"{len(wrong)} thing(s) to mend", *wrong]))
            return {name: check.found for name, check in found.items()}

        examine()
    return dag


def maintain_dag() -> DAG:
    """What `python -m include.mlops maintain` does, once a week."""
    watch = Watch("maintain", severity="warning", day=day_of_run, parts=(REPORTS,))
    reports = watch.part(REPORTS)
    with DAG(
        dag_id=watch.dag_id,
        description="Expire snapshots, compact days, delete stray files and old reports",
        doc_md="### Maintain\nTables are taken in turn for `MLOPS_MAINTENANCE_MINUTES`; the next run goes on where "
        "this one stopped. Nothing that a tag, a registered version or a recent reader needs is deleted: see "
        "`docs/maintenance.md`.",
        schedule="0 3 * * 0",
        start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
        catchup=False,
        max_active_runs=1,
        default_args=default_args(OWNER, watch.task_failed),
        on_failure_callback=watch.run_failed,
        tags=["operations"],
    ) as dag:

        @task(
            task_id=REPORTS,
            on_failure_callback=reports.task_failed,
            on_success_callback=reports.recovered,
            doc_md="They lie where Airflow's tasks run. Returns how many there were.",
        )
        def delete_old_reports() -> int:
            from include.mlops.settings import load_settings
            from include.mlops.steps.maintenance import delete_old_reports as step

            return step(load_settings())

        delete_old_reports()
        doc = "One line for each table in the log (of the job, where it is one); fails where one could not be tended."
        spark_task("tend", "maintain", {}, received=_tended, doc_md=doc, on_success_callback=watch.recovered)
    return dag


def _tended(result: Any) -> Any:
    from include.mlops.steps.handover import unpack
    from include.mlops.steps.maintenance import Maintained

    unpack(Maintained, result).require_done()
    return result


class BrokenSpecs(DAG):
    """Shows as an import error that lists every finding, without a traceback, and leaves all other DAGs alone."""

    def validate(self) -> None:
        raise ValueError(self.description)


def broken_specs(found: Specs) -> DAG | None:
    if not found.findings:
        return None
    return BrokenSpecs("broken_specs", schedule=None, description="\n".join(str(finding) for finding in found.findings))

"""DAGs that serve all specifications: bulk history, alert delivery, and the report of broken specifications."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Param, get_current_context, task

from include.mlops.errors import MlopsError
from include.mlops.orchestration.defaults import default_args, platform
from include.mlops.spec.interval import Interval
from include.mlops.spec.load import Specs


def bulk_dag(found: Specs) -> DAG:
    """Many days of a group or model in one job. Records and publishes, but neither alerts nor retrains."""
    names = [*sorted(found.groups), *sorted(found.models)]
    with DAG(
        dag_id="bulk",
        description="Many days of one feature group or model in one job",
        doc_md="### Bulk history\nIngests a feature group, or scores and measures a model, over an interval in one job. Days that fail are "
        "listed and stay unpublished; the others are published. For history before the first scheduled night, or after a change of code.",
        schedule=None,
        default_args=default_args("platform"),
        max_active_runs=1,
        params={
            "what": Param(names[0] if names else "", type="string", enum=names or [""], title="Feature group or model"),
            "from": Param("2013-01-01", type="string", format="date", title="First day"),
            "to": Param("2013-01-31", type="string", format="date", title="Last day"),
        },
        tags=["bulk"],
    ) as dag:

        @task(pool="spark", retries=0, doc_md="The whole interval.")
        def run() -> Any:
            from datetime import date

            context = get_current_context()
            chosen, rooms = context["params"], platform()
            first, last = date.fromisoformat(chosen["from"]), date.fromisoformat(chosen["to"])
            if first > last:
                raise MlopsError(f"expected First day before Last day, found {first} and {last}; trigger again")
            return _over(rooms, chosen["what"], Interval(first, last), context["run_id"])

        run()
    return dag


def _over(rooms: Any, what: str, interval: Interval, run_id: str) -> Any:
    from include.mlops.orchestration.handover import pack

    if what in rooms.specs.groups:
        from include.mlops.steps.publish import ingest_interval

        return pack(ingest_interval(rooms, rooms.specs.group(what), interval, run_id))
    from include.mlops.steps.score import score

    return pack(score(rooms, rooms.specs.model(what), interval, run_id))


def outbox_dag() -> DAG:
    """Delivers what Slack did not take at once."""
    with DAG(
        dag_id="deliver_alerts",
        description="Deliver alerts that are still in the outbox",
        doc_md="### Deliver alerts\nAlerts that Slack did not take (down, slow, rate-limited, or no token yet) wait in the ledger's outbox. "
        "`python -m include.mlops alerts` shows them.",
        schedule=timedelta(minutes=10),
        start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "platform", "retries": 0},
        tags=["alerts"],
    ) as dag:

        @task(doc_md="Never fails for Slack's sake.")
        def flush() -> Any:
            from include.mlops.orchestration.handover import pack

            return pack(platform().alerts.flush())

        flush()
    return dag


class BrokenSpecs(DAG):
    """Shows as an import error that lists every finding, without a traceback, and leaves all other DAGs alone."""

    def validate(self) -> None:
        raise ValueError(self.description)


def broken_specs(found: Specs) -> DAG | None:
    if not found.findings:
        return None
    return BrokenSpecs("broken_specs", schedule=None, description="\n".join(str(finding) for finding in found.findings))

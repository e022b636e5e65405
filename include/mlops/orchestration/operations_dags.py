"""DAGs that serve all specifications: bulk history, alert delivery, and the report of broken specifications."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Param, get_current_context, task

from include.mlops.errors import WrongTrigger
from include.mlops.orchestration.defaults import day, default_args, platform
from include.mlops.spec.interval import Interval
from include.mlops.spec.load import Specs

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

OWNER = "platform"


def bulk_dag(found: Specs) -> DAG:
    """Many days of a group or model in one job. Whoever started it sees how it ends: nobody is called."""
    names = [*sorted(found.groups), *sorted(found.models)]
    first, last = _history(found)
    with DAG(
        dag_id="bulk",
        description="Many days of one feature group or model in one job",
        doc_md="### Bulk history\nIngests a feature group, or scores, measures and exports a model, over an interval "
        "in one job. Days that fail are listed and stay unpublished; the others are published. "
        "For history before the first scheduled night, or after a change of code.\n\n"
        "- its failure calls nobody, nothing is retrained, and no other DAG is started\n"
        "- again with the same form: the same partitions are replaced",
        schedule=None,
        default_args=default_args(OWNER) | {"execution_timeout": None},
        max_active_runs=1,
        params={
            "what": Param(names[0] if names else "", type="string", enum=names or [""], title="Feature group or model"),
            "from": Param(str(first), type="string", format="date", title="First day"),
            "to": Param(str(last), type="string", format="date", title="Last day"),
        },
        tags=["bulk"],
    ) as dag:

        @task(pool="spark", doc_md="The whole interval.")
        def run() -> Any:
            context = get_current_context()
            chosen = context["params"]
            first, last = day(chosen["from"], "First day"), day(chosen["to"], "Last day")
            if first > last:
                raise WrongTrigger(f"expected First day before Last day, found {first} and {last}; trigger again")
            return over(platform(), chosen["what"], Interval(first, last), context["run_id"])

        run()
    return dag


def _history(found: Specs) -> tuple[date, date]:
    """The days that no schedule covers: what the form proposes."""
    groups = found.groups.values()
    first = min((group.first_partition for group in groups), default=date(2000, 1, 1))
    scheduled = [group.schedule.start - timedelta(days=group.schedule.delay) for group in groups]
    return first, max(first, min(scheduled, default=first) - timedelta(days=1))


def over(rooms: Platform, what: str, interval: Interval, run_id: str) -> Any:
    """Ingest a group, or score, measure and export a model: what a bulk run does, as JSON."""
    from include.mlops.orchestration.handover import pack

    if what in rooms.specs.groups:
        from include.mlops.steps.publish import ingest_interval

        return pack(ingest_interval(rooms, rooms.specs.group(what), interval, run_id))
    from include.mlops.steps.export import export
    from include.mlops.steps.performance import measure
    from include.mlops.steps.score import score

    model = rooms.specs.model(what)
    scored = score(rooms, model, interval, run_id)
    labels = rooms.specs.group(model.label.group).table
    labelled = rooms.ledger.publications.over(labels, interval)
    measured = [found for ds in sorted(labelled) for found in measure(rooms, model, Interval.day(ds), run_id)]
    return {"scored": pack(scored), "measured": len(measured), "exported": pack(export(rooms, model, interval, run_id))}


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

"""The DAG `bulk`: a form, a plan, approval where somebody waits for it, the work, and events for what follows."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, PartitionedAtRuntime, get_current_context, task

from include.mlops.errors import WrongTrigger
from include.mlops.orchestration.assets import published
from include.mlops.orchestration.defaults import Context, day, default_args, platform
from include.mlops.orchestration.operations_dags import OWNER
from include.mlops.orchestration.spark_task import spark_task
from include.mlops.spec.load import Specs
from include.mlops.steps.handover import pack, unpack

if TYPE_CHECKING:
    from airflow.sdk import Context as TaskContext

    from include.mlops.policy.backfill import Order

log = logging.getLogger(__name__)
DOC = """### Backfill in bulk
Ingests a feature group, or scores and measures a model, over an interval: many days in one job. It first plans, from
what is published: which days are present, missing, stale (an input or the code changed since) or in-sample, and which
of them it computes. The task `plan` links its **Report**; started from this page, the run then waits for your approval
(its tab **Required Actions**).

- **stop** it by marking the run failed: what was published stays. **Go on** by clearing the task `compute`, or with a
  new run of the missing days
- days that fail are listed and stay as they were; the others are published
- again with the same form: the same partitions, and nothing where only missing days are asked for
- it never alerts, retrains or promotes; it calls nobody when it fails
"""


def bulk_dag(found: Specs) -> DAG:
    """Many days of a group or model in one job. Whoever started it sees how it ends: nobody is called."""
    with DAG(
        dag_id="bulk",
        description="Many days of one feature group or model in one job, by a plan that is shown first",
        doc_md=DOC,
        schedule=PartitionedAtRuntime(),
        default_args=default_args(OWNER) | {"execution_timeout": None},
        max_active_runs=1,
        params=_form(found),
        tags=["bulk"],
    ) as dag:

        @task(doc_md="Judges each day and writes the plan: the link Report, and this task's log.")
        def plan() -> Any:
            from include.mlops.policy.backfill import markdown
            from include.mlops.steps.history.backfill_plan import plan as step
            from include.mlops.steps.history.backfill_plan import report

            context = get_current_context()
            rooms = platform()
            result = step(rooms, _order(context), context["run_id"])
            text = markdown(result)
            log.info("%s", text)
            context["ti"].xcom_push(key="report_url", value=rooms.report_url(report(rooms, result, context["run_id"])))
            return {"plan": pack(result), "computed": result.computed, "text": text}

        @task(
            outlets=[published(group) for group in found.groups.values()],
            trigger_rule="all_done_min_one_success",
            doc_md="Starts the DAGs that score and measure, for the days that this run published and they lack. The "
            "newest goes first, so that all others lie behind the frontier. Nothing where the run computed what "
            "depends on it, or was asked to leave it.",
        )
        def announce(planned: Any) -> list[str]:
            from include.mlops.policy.backfill import Plan
            from include.mlops.steps.history.backfill import to_announce

            context, rooms = get_current_context(), platform()
            chosen = unpack(Plan, planned["plan"])
            days = [str(ds) for ds in reversed(to_announce(rooms, chosen, context["run_id"]))]
            # An outlet without partitions has an event of none at its task's success: only what is announced stays.
            context["task"].outlets = [published(rooms.specs.group(chosen.order.what))] if days else []
            for outlet in context["task"].outlets:
                events = context["outlet_events"][outlet]
                events.add_partitions(days)
                events.partition_keys = days  # type: ignore[assignment]  # a set would lose the order
            return days

        planned = plan()
        approve = ApproveWhereShown(
            task_id="approve",
            subject="Start the backfill of {{ params.what }}?",
            body="{{ ti.xcom_pull(task_ids='plan')['text'] }}",
            doc_md="Waits for Approve or Reject where the run was started from the form with its last field ticked.",
        )
        done = spark_task(
            "compute",
            "backfill",
            {"planned": planned},
            doc_md="A job for every so many days; each keeps what it published. Clear it to go on where it stopped.",
        )
        planned >> approve >> done
        done >> announce(planned)
        done >> EmptyOperator(
            task_id="complete", doc_md="Every day that was asked for is there: fails where `compute` does."
        )
    return dag


class ApproveWhereShown(ApprovalOperator):
    """Waits for a person only where the form was sent with `approve`, as the web page does; never for nothing to do.

    A run that was triggered over the API without that field goes on by itself: nobody would see the question.
    """

    def execute(self, context: TaskContext) -> Any:
        asked = (context["dag_run"].conf or {}).get("approve")
        if not asked or not context["ti"].xcom_pull(task_ids="plan")["computed"]:
            return None
        return super().execute(context)


def _form(found: Specs) -> dict[str, Param]:
    names = [*sorted(found.groups), *sorted(found.models)]
    first, last = _history(found)
    only = {"missing": "the missing days", "stale": "missing and stale days", "all": "all days"}
    dependents = {
        "start": "its own DAGs make it, started by events",
        "compute": "this run computes it, too",
        "leave": "leave it as it is",
    }
    return {
        "what": Param(names[0] if names else "", type="string", enum=names or [""], title="Feature group or model"),
        "from": Param(str(first), type="string", format="date", title="First day"),
        "to": Param(str(last), type="string", format="date", title="Last day", description="Included."),
        "only": Param(
            "missing",
            type="string",
            enum=list(only),
            values_display=only,
            title="Compute",
            description="A day is stale where an input, the code or the live version changed since it was made.",
        ),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version of the model",
            description="Scores every day. Empty: for each day the version that was live then.",
        ),
        "dependents": Param(
            "start",
            type="string",
            enum=list(dependents),
            values_display=dependents,
            title="What depends on the feature group",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            title="Reason to restate",
            description="Publishes under the same version of a group although its code changed. Kept in the ledger.",
        ),
        "days_per_job": Param(
            30, type="integer", minimum=1, title="Days in one job", description="A stopped run keeps finished jobs."
        ),
        "approve": Param(True, type="boolean", title="Show me the plan and wait for my approval"),
    }


def _history(found: Specs) -> tuple[date, date]:
    """The days that no schedule covers: what the form proposes."""
    groups = found.groups.values()
    first = min((group.first_partition for group in groups), default=date(2000, 1, 1))
    scheduled = [group.schedule.start - timedelta(days=group.schedule.delay) for group in groups]
    return first, max(first, min(scheduled, default=first) - timedelta(days=1))


def _order(context: Context) -> Order:
    """What the form asks for. Raises WrongTrigger where no plan can be made of it."""
    from include.mlops.policy.backfill import Order

    form = context["params"]
    first, last = day(form["from"], "First day"), day(form["to"], "Last day")
    if first > last:
        raise WrongTrigger(f"expected First day before Last day, found {first} and {last}; trigger again")
    return Order(
        form["what"],
        first,
        last,
        form["only"],
        form["version"],
        form["dependents"],
        form["reason"] or "",
        form["days_per_job"],
    )

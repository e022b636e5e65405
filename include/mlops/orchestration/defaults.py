"""What every DAG shares: retries for transient errors only, the partition of a run, the rooms of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, get_parsing_context
from airflow.sdk.exceptions import AirflowRuntimeError, TaskDeferralError, TaskDeferralTimeout

from include.mlops.errors import MlopsError, ServiceUnavailable, WrongTrigger
from include.mlops.settings import load_settings
from include.mlops.spec.base import Spec
from include.mlops.spec.load import Specs, load_specs

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

Context = Mapping[str, Any]
S = TypeVar("S", bound=Spec)

PAUSE = timedelta(seconds=15)
HUNG_AFTER = timedelta(hours=12)  # or a task that never ends would hold up the coming nights, and nobody be told
RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(ServiceUnavailable, RetryAction.RETRY, retry_delay=PAUSE, reason="a service did not answer"),
        RetryRule(MlopsError, RetryAction.FAIL, reason="trying again cannot help; see the error"),
        RetryRule(OSError, RetryAction.RETRY, retry_delay=PAUSE, reason="input or output failed"),
        RetryRule(
            [AirflowRuntimeError, TaskDeferralError, TaskDeferralTimeout, KeyboardInterrupt],
            RetryAction.RETRY,
            retry_delay=PAUSE,
            reason="Airflow itself failed, or is being stopped",
        ),
    ],
    default=RetryAction.FAIL,
)
"""The first rule that matches wins. A task that was killed has no exception: its number of retries alone decides."""


def specs() -> Specs:
    """The users' specifications, as the DAG files see them."""
    return load_specs(load_settings().specs)


def wanted(found: Mapping[str, S]) -> list[S]:
    """All of them; in the process of a task, which parses its file again, only what its DAG is named after."""
    dag_id = get_parsing_context().dag_id
    return [one for name, one in found.items() if not dag_id or dag_id.endswith(f"_{name}")]


def default_args(owner: str, on_failure: Callable[[Context], None] | None = None) -> dict[str, Any]:
    """Arguments of every task; `on_failure` is called once it has failed for good, not before a retry."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": PAUSE,
        "retry_policy": RETRIES,
        "execution_timeout": HUNG_AFTER,
        "on_failure_callback": on_failure,
    }


def partition(context: Context) -> date:
    """The run's data date. Raises WrongTrigger where it was triggered without a usable partition key."""
    key = context.get("partition_key")
    if not key:
        raise WrongTrigger(
            "expected a partition key such as 2013-04-05, found none; "
            "trigger the DAG again with the field Partition Key filled in"
        )
    return day(key, "Partition Key")


def day_of(context: Context) -> str | None:
    """The day of a partitioned run; None in a run that has none."""
    return str(partition(context)) if context.get("partition_key") else None


def day(text: str, field: str) -> date:
    """The day that a field of the trigger form holds. Raises WrongTrigger on any other spelling than 2013-04-05."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or text != found.isoformat():  # 20130405 would be another partition key for the same day
        raise WrongTrigger(f"expected a day such as 2013-04-05 in the field {field}, found '{text}'; trigger again")
    return found


def platform() -> Platform:
    """The rooms of this process, by the settings of its environment and of Airflow's connections."""
    from include.mlops.orchestration.connections import connected_settings
    from include.mlops.steps.platform import Platform

    return Platform(connected_settings())


def run_url(context: Context) -> str:
    """The page of this task instance, or of the run where no task is known."""
    dag_id, run_id, ti = context["dag"].dag_id, context["run_id"], context.get("ti")
    return f"{load_settings().airflow_url}/dags/{dag_id}/runs/{run_id}" + (f"/tasks/{ti.task_id}" if ti else "")


def doc(text: str, file: str) -> str:
    """`text` for the DAG's page, and where its specification stands."""
    return f"{text}\n\nSpecification: `{_specs_folder()}/{file}`."


@cache
def _specs_folder() -> str:
    return load_settings().specs.name  # settings take milliseconds to read, and each DAG has a page

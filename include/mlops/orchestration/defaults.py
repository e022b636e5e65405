"""What every DAG shares: retries for transient errors only, alerts on failure, the partition of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from include.mlops.errors import MlopsError, ServiceUnavailable
from include.mlops.settings import ROOT, load_settings
from include.mlops.spec.load import Specs, load_specs
from include.mlops.spec.model import Alerts

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)
Context = Mapping[str, Any]

RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(ServiceUnavailable, RetryAction.RETRY, retry_delay=timedelta(seconds=15), reason="a service did not answer"),
        RetryRule(MlopsError, RetryAction.FAIL, reason="trying again cannot help; see the error"),
        RetryRule("builtins.OSError", RetryAction.RETRY, retry_delay=timedelta(seconds=15), reason="input or output failed"),
    ],
    default=RetryAction.FAIL,
)
"""A task that was killed has no exception: it is tried again by its number of retries alone."""


def specs() -> Specs:
    """The users' specifications, as the DAG files see them."""
    return load_specs(load_settings().specs)


def default_args(owner: str, dataset: str | None = None, subject: str = "", alerts: Alerts = Alerts()) -> dict[str, Any]:
    """Arguments of every task; a failure alerts about `subject` unless a later day of `dataset` is published."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=15),
        "retry_policy": RETRIES,
        "on_failure_callback": _alert(dataset, subject, alerts),
    }


def partition(context: Context) -> date:
    """The run's data date. Raises MlopsError where the run was triggered without a partition key."""
    key = context.get("partition_key")
    if not key:
        raise MlopsError("expected a partition key such as 2013-04-05, found none; trigger the DAG again with the field Partition Key filled in")
    try:
        return date.fromisoformat(key)
    except ValueError:
        raise MlopsError(f"expected a day such as 2013-04-05 as partition key, found '{key}'") from None


def platform() -> Platform:
    """The rooms of this process, with the Slack token of the Airflow connection `mlops_slack` where there is one."""
    from include.mlops.steps.platform import Platform

    return Platform(load_settings().model_copy(update=_slack()))


def _slack() -> dict[str, Any]:
    from pydantic import SecretStr

    from airflow.sdk import Connection, Variable

    found: dict[str, Any] = {}
    try:
        password = Connection.get("mlops_slack").password
        if password:
            found["slack_token"] = SecretStr(password)
        channel = Variable.get("mlops_slack_channel", default=None)
        if channel:
            found["slack_channel"] = channel
    except Exception as error:  # noqa: BLE001 - a missing connection is normal, and no reason to fail a task
        log.debug("no Slack connection: %s", error)
    return found


def run_url(context: Context) -> str:
    """The page of this task instance."""
    ti = context["ti"]
    return f"{load_settings().airflow_url}/dags/{ti.dag_id}/runs/{ti.run_id}/tasks/{ti.task_id}"


def _alert(dataset: str | None, subject: str, told: Alerts) -> Callable[[Context], None]:
    def on_failure(context: Context) -> None:
        from include.mlops.alerts.alert import Alert
        from include.mlops.errors import NotReady

        rooms = platform()
        ti, error = context["ti"], context.get("exception")
        key = context.get("partition_key")
        ds = date.fromisoformat(key) if key else context["dag_run"].run_after.date()
        if dataset and not rooms.at_frontier(dataset, ds):
            log.info("%s lies behind the frontier of %s: no alert", ds, dataset)
            return
        late = isinstance(error, NotReady)
        rooms.alerts.send(
            Alert(
                kind="late" if late else "failed",
                subject=subject or ti.dag_id,
                ds=ds,
                severity="critical",
                title=f"{ti.dag_id}: {ti.task_id} {'waited too long' if late else 'failed'} for {ds}",
                summary=str(error or "the task was killed or timed out")[:2500],
                numbers={"try": str(ti.try_number)},
                links={"Airflow task": run_url(context)},
                channel=told.channel,
                on_call=told.on_call,
            )
        )

    return on_failure


def recovered(subject: str) -> Callable[[Context], None]:
    """A callback for a DAG's last task: what had failed or was late works again."""

    def on_success(context: Context) -> None:
        rooms, ds = platform(), partition(context)
        for kind in ("failed", "late"):
            rooms.alerts.recover(kind, subject, ds, f"{ds} went through.")

    return on_success


def doc(text: str, file: str) -> str:
    return f"{text}\n\nSpecification: `{file}` below `{ROOT.name}/include`."

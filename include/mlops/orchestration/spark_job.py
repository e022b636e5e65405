"""A step as a job of EMR Serverless, on the Amazon provider's operator. It waits in the triggerer.

A try that finds its predecessor's job still running waits for that one, so a worker that is lost costs no second job.
Whoever stops the task stops the job.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
from airflow.providers.amazon.aws.triggers.emr import EmrServerlessStartJobTrigger
from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from include.mlops.aws_errors import passes
from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError, rebuilt
from include.mlops.orchestration.connections import connected_settings
from include.mlops.orchestration.defaults import Context, day_of
from include.mlops.settings import Settings
from include.mlops.steps.handover import pack

if TYPE_CHECKING:
    from airflow.sdk import Context as TaskContext

    from include.mlops.compute.emr_serverless import Code

log = logging.getLogger(__name__)
POLL_SECONDS = 10
GOING_ON = ("SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING")
"""In the order of a job's life: one that moves on while they are asked for is met again."""
LONGEST = timedelta(days=7)
"""What EMR allows a job."""
ENDED = ("SUCCESS", "FAILED", "CANCELLED")


class SparkJob(EmrServerlessStartJobOperator):
    """Returns what the step does in a task of this process. Raises what the step raises there, and where the job ended
    without an answer (it ran out of memory, say) ServiceUnavailable, which is tried again.
    """

    template_fields = ("inputs",)

    def __init__(
        self,
        *,
        settings: Settings,
        step: str,
        inputs: dict[str, Any],
        received: Callable[[Any], Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(
            application_id=settings.jobs_application,
            execution_role_arn=settings.jobs_role,
            job_driver={},  # made when it runs, of the code as it is then
            aws_conn_id=None,  # keys and region from where AWS's own clients take them, as for S3
            wait_for_completion=False,
            deferrable=False,  # its own triggers want aiobotocore, which pins another botocore
            waiter_delay=POLL_SECONDS,
            waiter_max_attempts=60,
            **kwargs,
        )
        limit = min(self.execution_timeout or LONGEST, LONGEST)  # else EMR's own, 12 hours: too few for a long backfill
        self.config = {"executionTimeoutMinutes": int(limit.total_seconds() // 60)}
        self.step = step
        self.inputs = inputs
        self.received = received

    def execute(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002 - the provider's signature
        from include.mlops.compute import emr_serverless as emr

        settings = connected_settings()
        self.name = job_name(settings, context)
        with answering(settings):
            code = emr.upload(settings)
            self.configuration_overrides = emr.configuration(settings, code)
            self.job_id = self._running()
            if self.job_id:
                self.log.info("job run %s of an earlier try still runs: this one waits for it", self.job_id)
                self.persist_links(cast("TaskContext", context))
            else:
                self._start(context, settings, code)
        assert self.job_id
        self.defer(
            trigger=JobEnds(self.application_id, self.job_id, POLL_SECONDS, aws_conn_id=None),
            method_name="ended",
        )

    def ended(self, context: Context, event: str) -> Any:
        """Take the answer of the job run whose id the event is."""
        from include.mlops.compute import emr_serverless as emr

        settings = connected_settings()
        self.job_id = event
        with answering(settings):
            told = self.hook.conn.get_job_run(applicationId=self.application_id, jobRunId=event)["jobRun"]
        self.log.info("job run %s ended: %s %s", event, told["state"], told.get("stateDetails") or "")
        answer = emr.read_answer(emr.order_of(told))
        if told["state"] == "SUCCESS" and answer and "result" in answer:
            return self.received(answer["result"])
        if answer and "error" in answer:
            raise rebuilt(answer["error"], answer["message"])
        raise _without_answer(settings, told, mine=str(context["ti"].id) in emr.order_of(told))

    def on_kill(self) -> None:
        """While it is started; later the trigger stops it. A job whose start was not answered is stopped, too."""
        self.job_id = self.job_id or (self._running() if self.name else None)
        super().on_kill()

    def _running(self) -> str | None:
        """The job run of an earlier try of this very task, where there is one that goes on."""
        jobs = self.hook.conn.get_paginator("list_job_runs")
        for state in GOING_ON:
            for page in jobs.paginate(applicationId=self.application_id, states=[state]):
                for run in page["jobRuns"]:
                    if run.get("name") == self.name:
                        return str(run["id"])
        return None

    def _start(self, context: Context, settings: Settings, code: Code) -> None:
        from include.mlops.compute import emr_serverless as emr
        from include.mlops.steps.spark_steps import Order

        ti = context["ti"]
        order = Order(self.step, context["run_id"], day_of(context), self.inputs)
        url = emr.write_order(settings, f"{self.name}/{ti.id}", pack(order))
        self.job_driver = emr.job_driver(code, url)
        self.client_request_token = str(ti.id)  # of this try: a request that is sent twice starts one job
        try:
            super().execute(cast("TaskContext", context))
        except ClientError:
            if self._state() not in EmrServerlessHook.APPLICATION_INTERMEDIATE_STATES:
                raise
            self._await_settled(settings)
            super().execute(cast("TaskContext", context))

    def _await_settled(self, settings: Settings) -> None:
        """One that goes to sleep, or that another task wakes, may refuse to be started."""
        for _ in range(self.waiter_max_attempts):
            found = self._state()
            if found not in EmrServerlessHook.APPLICATION_INTERMEDIATE_STATES:
                return
            self.log.info("the application is %s: waiting for that to end", found)
            time.sleep(POLL_SECONDS)
        raise ServiceUnavailable(f"the application {settings.jobs} (MLOPS_JOBS) stays {found}")

    def _state(self) -> str:
        return str(self.hook.conn.get_application(applicationId=self.application_id)["application"]["state"])


class JobEnds(EmrServerlessStartJobTrigger):
    """Fires with the id of a job run once that has ended, however. Stops the job where a person stops the task."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while not await asyncio.to_thread(self._ended):  # noqa: ASYNC110 - nobody here knows of its end
            await asyncio.sleep(self.waiter_delay)
        yield TriggerEvent(self.job_id)  # type: ignore[no-untyped-call]

    def _ended(self) -> bool:
        try:
            found = self.hook().conn.get_job_run(applicationId=self.application_id, jobRunId=self.job_id)["jobRun"]
        except (BotoCoreError, ClientError) as error:
            if not passes(error):
                return True  # the task will meet the same, and tell it
            log.warning("cannot look what job run %s does: %s", self.job_id, error)
            return False
        return found["state"] in ENDED


def job_name(settings: Settings, context: Context) -> str:
    """The same for each try of a task instance, another for each other one, those of other Airflows included."""
    ti = context["ti"]
    parts = (settings.airflow_url, settings.jobs_url, ti.dag_id, context["run_id"], ti.task_id, str(ti.map_index))
    return f"{ti.dag_id}.{ti.task_id}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Raises ServiceUnavailable where AWS does not answer, SettingsError where it refuses."""
    try:
        yield
    except AirflowException as error:
        raise ServiceUnavailable(f"the application {settings.jobs} (MLOPS_JOBS) did not start: {error}") from error
    except (BotoCoreError, ClientError) as error:
        told = f"expected EMR Serverless to take jobs at {settings.jobs} (MLOPS_JOBS), found: {error}"
        if passes(error):
            raise ServiceUnavailable(told) from error
        raise SettingsError(
            f"{told}; is that the application's id, in this region, and may this user start jobs, and pass "
            f"{settings.jobs_role} (MLOPS_JOBS_ROLE) to them?"
        ) from error


def _without_answer(settings: Settings, told: dict[str, Any], *, mine: bool) -> MlopsError:
    """`mine`: this try started the job. An earlier try's is stopped when a person clears that one."""
    log_url = f"{settings.jobs_url.rstrip('/')}/logs/applications/{told['applicationId']}/jobs/{told['jobRunId']}/"
    what = f"job run {told['jobRunId']} ended {told['state']} {told.get('stateDetails') or ''}".strip()
    if told["state"] == "CANCELLED" and mine:
        return MlopsError(f"{what}: somebody stopped it, or its time was over; clear the task to start it again")
    return ServiceUnavailable(f"{what} without an answer; its log is at {log_url}")

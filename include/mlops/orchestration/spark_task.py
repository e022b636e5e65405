"""A task for a step that needs Spark: in the task, by Spark Connect, or as a job elsewhere. Settings alone choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import XComArg, get_current_context, task

from include.mlops.orchestration.defaults import day_of, platform
from include.mlops.settings import load_settings

POOL = "spark"


def spark_task(
    task_id: str,
    step: str,
    inputs: dict[str, Any],
    *,
    received: Callable[[Any], Any] = lambda result: result,
    **options: Any,
) -> XComArg:
    """Its output is the step's result as JSON, once `received` has seen it. `inputs` may hold other tasks' outputs."""
    settings = load_settings()
    if settings.jobs:
        from include.mlops.orchestration.spark_job import SparkJob

        job = SparkJob(
            task_id=task_id, pool=POOL, settings=settings, step=step, inputs=inputs, received=received, **options
        )
        return job.output

    @task(task_id=task_id, pool=POOL, **options)
    def carried(inputs: dict[str, Any]) -> Any:
        from include.mlops.steps.spark_steps import Order, carry

        context = get_current_context()
        return received(carry(platform(), Order(step, context["run_id"], day_of(context), inputs)))

    return carried(inputs)

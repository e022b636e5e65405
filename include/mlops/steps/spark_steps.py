"""The steps that need Spark, by name and with plain values: so that a job elsewhere can be told which to run.

Whoever runs them, the task's own process or such a job, the same function runs and the same JSON comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from include.mlops.policy.backfill import Plan
from include.mlops.spec.interval import Interval
from include.mlops.steps.handover import pack, unpack
from include.mlops.steps.history.backfill import carry_out
from include.mlops.steps.history.restatement import restate_dependents
from include.mlops.steps.ingestion.ingest import Ingested, ingest
from include.mlops.steps.ingestion.publish import publish
from include.mlops.steps.ingestion.validate import Validated
from include.mlops.steps.maintenance import maintain
from include.mlops.steps.platform import Platform


@dataclass(frozen=True)
class Order:
    """A step to run: for which run and, where it is a step of one day, which day; `inputs` as JSON."""

    step: str
    run_id: str
    ds: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)


def carry(platform: Platform, order: Order) -> Any:
    """Run the step. Returns its result as JSON. Raises what the step raises."""
    return pack(STEPS[order.step](platform, order))


def _ingest(platform: Platform, order: Order) -> object:
    group, overdue = platform.specs.group(order.inputs["group"]), bool(order.inputs["lacking"])
    return ingest(platform, group, _day(order), order.run_id, overdue=overdue)


def _publish(platform: Platform, order: Order) -> object:
    group, told = platform.specs.group(order.inputs["group"]), order.inputs
    return publish(platform, group, unpack(Ingested, told["ingested"]), unpack(Validated, told["validated"]))


def _restate_dependents(platform: Platform, order: Order) -> object:
    return restate_dependents(
        platform, platform.specs.group(order.inputs["group"]), _day(order), order.run_id, told=True
    )


def _backfill(platform: Platform, order: Order) -> object:
    return carry_out(platform, unpack(Plan, order.inputs["planned"]["plan"]), order.run_id)


def _maintain(platform: Platform, _: Order) -> object:
    return maintain(platform)


def _day(order: Order) -> Interval:
    assert order.ds is not None
    return Interval.day(order.ds)


STEPS: Mapping[str, Callable[[Platform, Order], object]] = {
    "ingest": _ingest,
    "publish": _publish,
    "restate_dependents": _restate_dependents,
    "backfill": _backfill,
    "maintain": _maintain,
}

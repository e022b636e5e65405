"""One night through Airflow by step: the demo's history, first versions and nights on a stack of its own.

Of each night it prints when its task instances began and ended, as Airflow's API tells: the median over nights by DAG
and task, the wall time from the landing of the last file to the end of the last task, and how much of that no task of
the night was at work: what Airflow itself takes to notice the file, to schedule and to hand over.

    python benchmarks/night.py --nights 3
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import peers
from include.demo.airflow_api import AirflowApi
from include.demo.run import GROUPS, Demo
from include.demo.scenario import Scenario
from include.mlops.local.airflow import ADMIN, admin_password
from include.mlops.local.ports import free_port
from include.mlops.local.stack import LocalStack
from include.mlops.settings import Settings

WITHOUT_INJECTIONS = date(2014, 1, 1)  # nights as they were: no shift, no torn file
GOAL = 45.0


@dataclass(frozen=True)
class Span:
    """A task instance at work, in seconds since the epoch."""

    dag: str
    task: str
    begun: float
    ended: float


@dataclass(frozen=True)
class Landings(Scenario):
    """The scenario, with the moments (seconds since the epoch) at which the schedule of each night landed."""

    moments: dict[date, float] = field(default_factory=dict)

    def land_schedule(self, root: Path, ds: date) -> None:
        super().land_schedule(root, ds)
        self.moments.setdefault(ds, time.time())


@dataclass(frozen=True)
class Night:
    """What ran after the landing of its schedule."""

    landed: float
    spans: Sequence[Span]

    @property
    def wall(self) -> float:
        """Seconds from the landing to the end of the last task."""
        return max(span.ended for span in self.spans) - self.landed

    @property
    def idle(self) -> float:
        """Seconds of those in which no task did anything but wait."""
        total, until = 0.0, 0.0
        at_work = [span for span in self.spans if span.task != "wait"]
        for span in sorted(at_work, key=lambda one: one.begun):
            total += max(0.0, span.ended - max(span.begun, until))
            until = max(until, span.ended)
        return self.wall - total


def spans(airflow: AirflowApi, runs: Iterable[tuple[str, str]]) -> list[Span]:
    """The task instances of runs, named by DAG and partition key."""
    found = []
    for dag, key in runs:
        for run in airflow.runs(dag):
            if run.key == key:
                told = airflow._call("GET", f"/dags/{dag}/dagRuns/{run.run_id}/taskInstances")
                found += [_span(one) for one in told["task_instances"] if one["start_date"] and one["end_date"]]
    return found


def _span(told: dict[str, Any]) -> Span:
    begun, ended = (datetime.fromisoformat(told[name]).timestamp() for name in ("start_date", "end_date"))
    return Span(told["dag_id"], told["task_id"], begun, ended)


def runs_of(demo: Demo, ds: date) -> list[tuple[str, str]]:
    """What a night consists of: DAGs and partition keys."""
    specs = demo.platform.specs
    key = {name: str(ds - timedelta(days=specs.group(name).schedule.delay)) for name in GROUPS}
    of_models = [
        one
        for model in specs.models.values()
        for one in ((f"score_{model.name}", str(ds)), (f"performance_{model.name}", key[model.label.group]))
    ]
    return [*((f"ingest_{name}", key[name]) for name in GROUPS), *of_models]


def after(landed: float, found: Iterable[Span]) -> list[Span]:
    """What of the tasks lies after the landing: one that waits for the file began before."""
    return [replace(span, begun=max(span.begun, landed)) for span in found if span.ended > landed]


def played(state: Path, nights: int, console: Console) -> list[Night]:
    settings = Settings(state=state, mlflow_port=free_port(), airflow_port=free_port(), spark_port=free_port())
    scenario = Landings(nights=nights, shift_from=WITHOUT_INJECTIONS, torn=WITHOUT_INJECTIONS)
    with LocalStack(settings) as stack:
        airflow = AirflowApi(stack.addresses["airflow"], ADMIN, admin_password(settings))
        demo = Demo(settings, scenario, airflow, stack, console)
        demo.play()
        moments = scenario.moments.items()
        return [Night(landed, after(landed, spans(airflow, runs_of(demo, ds)))) for ds, landed in moments]


def told(nights: Sequence[Night]) -> dict[str, Any]:
    """Figures of all nights, printed."""
    steps: dict[str, list[float]] = {}
    starts: dict[str, list[float]] = {}
    for night in nights:
        for span in night.spans:
            steps.setdefault(f"{span.dag}.{span.task}", []).append(span.ended - span.begun)
            starts.setdefault(f"{span.dag}.{span.task}", []).append(span.begun - night.landed)
    print(f"\nA night through Airflow, medians of {len(nights)}\n{'':48}{'begins at':>12}{'seconds':>10}")
    for name in sorted(steps, key=lambda one: statistics.median(starts[one])):
        print(f"{name:48}{statistics.median(starts[name]):>12.1f}{statistics.median(steps[name]):>10.1f}")
    wall, empty = statistics.median(night.wall for night in nights), statistics.median(night.idle for night in nights)
    at_work = sum(statistics.median(found) for found in steps.values())
    print(f"{'from landing to the end of the last task':48}{wall:>22.1f}   goal {GOAL:.0f}")
    print(f"{'of which no task worked (Airflow alone)':48}{empty:>22.1f}   ratio {empty / wall:.2f}")
    print(f"{'sum of all tasks':48}{at_work:>22.1f}   ratio {at_work / wall:.2f} (above 1: tasks side by side)")
    return {"wall": [night.wall for night in nights], "idle": [night.idle for night in nights], "steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    with peers.state_folder() as folder:
        nights = played(Path(folder), options.nights, Console())
    peers.keep(options, told(nights))


if __name__ == "__main__":
    main()

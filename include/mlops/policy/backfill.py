"""What a backfill computes and what it leaves: the plan that is shown before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Literal

Only = Literal["missing", "stale", "all"]
"""Which days: those that are missing; also those that are stale; all of them."""
Dependents = Literal["leave", "start", "compute"]
"""What depends on the days: left as it is, started by events as after a night, or computed by the same run."""
Kind = Literal["group", "scores", "performance"]
State = Literal["missing", "stale", "follows", "present", "done", "refused"]
"""`follows`: there, and made again where an earlier part of the same run gives what it reads other rows. `done`: made
by this very run before it was stopped.
"""

WANTED: dict[Only, frozenset[State]] = {
    "missing": frozenset({"missing"}),
    "stale": frozenset({"missing", "stale", "follows"}),
    "all": frozenset({"missing", "stale", "follows", "present"}),
}
Run = tuple[date, date]
"""Days that follow each other: the first and the last."""


@dataclass(frozen=True)
class Order:
    """What was asked for: the form. `version` scores every day instead of the one live for it.

    `reason` says why rows may be published under the same version of a group although its code changed.
    """

    what: str
    first: date
    last: date
    only: Only = "missing"
    version: int | None = None
    dependents: Dependents = "leave"
    reason: str = ""
    days_per_job: int = 30


@dataclass(frozen=True)
class Facts:
    """What is known of one day; texts are empty where there is nothing to say."""

    ds: date
    published: bool = False
    stale: str = ""
    by_this_run: bool = False
    reads_made: str = ""  # what it reads that an earlier part of this run makes
    lacks: str = ""  # why it cannot be made
    without: str = ""  # what it would be made without
    in_sample: bool = False


@dataclass(frozen=True)
class Day:
    """`in_sample`: the version that scores it was trained or judged on it."""

    ds: date
    state: State
    reason: str = ""
    in_sample: bool = False


@dataclass(frozen=True)
class Part:
    """The days of a group, or of a model's scores or performance."""

    kind: Kind
    name: str
    days: tuple[Day, ...]
    computed: tuple[date, ...]
    """Those that will be made; of days that follow, at most."""

    @property
    def what(self) -> str:
        return self.name if self.kind == "group" else f"{self.kind} of {self.name}"

    @property
    def refused(self) -> dict[date, str]:
        return {day.ds: day.reason for day in self.days if day.state == "refused"}


@dataclass(frozen=True)
class Plan:
    """Parts in the order in which they are computed; the first is what was asked for."""

    order: Order
    parts: tuple[Part, ...]

    @property
    def computed(self) -> int:
        """Partitions, of all parts."""
        return sum(len(part.computed) for part in self.parts)

    def headline(self) -> str:
        """`2013-03-01..2013-03-31, only missing: 12 partition(s) to compute in 1 job(s)`."""
        order = self.order
        jobs = sum(len(chunks(part.computed, order.days_per_job)) for part in self.parts)
        version = f", scored by v{order.version}" if order.version else ""
        work = f"{self.computed} partition(s) to compute in {jobs} job(s)" if jobs else "nothing to compute"
        return f"{_range((order.first, order.last))}, {_ONLY[order.only]}{version}: {work}"


@dataclass(frozen=True)
class Line:
    """Days of one state and reason: a row of what is shown."""

    state: State
    count: int
    ranges: str
    reason: str
    in_sample: bool
    computed: str


_ONLY = {"missing": "only missing", "stale": "missing and stale", "all": "all"}
_ORDER: tuple[State, ...] = ("missing", "stale", "follows", "refused", "present", "done")


def judge(facts: Facts, only: Only) -> Day:
    """The state of a day. It is refused where it would be computed and cannot be."""
    state: State = "present" if facts.published else "missing"
    reason = facts.stale
    if facts.stale:
        state = "stale"
    elif facts.published and facts.by_this_run:
        state = "done"
    elif facts.published and facts.reads_made:
        state, reason = "follows", f"reads {facts.reads_made}, which this run makes"
    if state in WANTED[only]:
        if facts.lacks:
            return Day(facts.ds, "refused", facts.lacks, facts.in_sample)
        reason = "; ".join(filter(None, [reason, f"made without {facts.without}" if facts.without else ""]))
    return Day(facts.ds, state, reason, facts.in_sample)


def part(kind: Kind, name: str, facts: Iterable[Facts], only: Only) -> Part:
    days = tuple(judge(one, only) for one in facts)
    return Part(kind, name, days, tuple(day.ds for day in days if day.state in WANTED[only]))


def lines(part: Part) -> list[Line]:
    """What is to be done first, then what is refused, then what stays."""

    def alike(day: Day) -> tuple[int, str, bool]:
        return _ORDER.index(day.state), day.reason, day.in_sample

    found = []
    for (rank, reason, in_sample), group in groupby(sorted(part.days, key=alike), alike):
        days = [day.ds for day in group]
        state, some = _ORDER[rank], not set(days).isdisjoint(part.computed)
        computed = ("where that changes" if state == "follows" else "yes") if some else "no"
        found.append(Line(state, len(days), ranges(days), reason, in_sample, computed))
    return found


def runs(days: Iterable[date]) -> list[Run]:
    """Days that follow each other, oldest first."""
    found: list[Run] = []
    for ds in sorted(days):
        if found and found[-1][1] + timedelta(days=1) == ds:
            found[-1] = (found[-1][0], ds)
        else:
            found.append((ds, ds))
    return found


def chunks(days: Iterable[date], most: int) -> list[Run]:
    """As `runs`, none longer than `most` days: one job each, so that a stopped run keeps what it finished."""
    return [chunk for run in runs(days) for chunk in _cut(run, most)]


def ranges(days: Iterable[date]) -> str:
    """`2013-03-01..2013-03-07, 2013-03-09`."""
    return ", ".join(map(_range, runs(days)))


def markdown(plan: Plan, most: int = 8) -> str:
    """The plan as tables, at most so many rows a part."""
    told = [f"**{plan.order.what}** {plan.headline()}"]
    for one in plan.parts:
        shown = lines(one)
        told += ["", f"**{one.what}**", "", "| Days | State | Computed | |", "|---|---|---|---|"]
        told += [
            f"| {line.ranges} ({line.count}) | {_state(line)} | {line.computed} | {line.reason} |"
            for line in shown[:most]
        ]
        if len(shown) > most:
            told.append(f"| {sum(line.count for line in shown[most:])} more | | | see the report |")
    return "\n".join(told)


def _state(line: Line) -> str:
    return line.state + (", in-sample" if line.in_sample else "")


def _cut(run: Run, most: int) -> Iterator[Run]:
    first, last = run
    for behind in range(0, (last - first).days + 1, most):
        start = first + timedelta(days=behind)
        yield start, min(start + timedelta(days=most - 1), last)


def _range(run: Run) -> str:
    return str(run[0]) if run[0] == run[1] else f"{run[0]}..{run[1]}"

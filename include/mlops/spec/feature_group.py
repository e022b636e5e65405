"""A feature group: `include/feature_groups/<name>/feature_group.yaml` beside its `transform.py`."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from include.mlops.spec.base import Column, Day, Duration, Hours, Lag, Name, Number, Restatement, Spec, Whole, repeated
from include.mlops.spec.expectation_names import ARGUMENTS, EXPECTATIONS
from include.mlops.spec.finding import Fault, Faults
from include.mlops.spec.interval import Interval
from include.mlops.spec.nearest import allowed, suggestion
from include.mlops.spec.source import ColumnType, Source, told_apart

T = TypeVar("T")
Severity = Literal["critical", "warning", "info"]
SYSTEM_COLUMNS = ("ds", "event_time", "available_at", "known_from")
"""Columns that the library itself adds to every published table."""


class Schedule(Spec):
    """Every midnight of the group's time zone, from `start`; `delay` days after the partition's own midnight."""

    start: Day
    end: Day | None = None
    delay: Duration = 0
    deadline: Hours = 6.0
    """How long after its tick a run waits for its inputs."""
    late: Literal["fail", "go_on"] = "fail"
    """What a run does at its deadline where partitions that it reads are missing; it never goes on without its file."""

    @field_validator("end")
    @classmethod
    def _not_before_start(cls, end: date | None, info: ValidationInfo) -> date | None:
        start = info.data.get("start")
        if end and start and end < start:
            raise ValueError(f"expected a day from {start} on, found {end}")
        return end


class Expectation(Spec):
    """One expectation under Great Expectations' own name."""

    name: str
    arguments: dict[str, Any]
    severity: Severity = "critical"

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        """`{expect_...: {arguments}, severity: warning}` as a user writes it."""
        if isinstance(value, Expectation) or (isinstance(value, dict) and "name" in value):
            return value
        names = [key for key in value if key != "severity"] if isinstance(value, dict) else [value]
        if len(names) == 1 and isinstance(names[0], str) and names[0] not in EXPECTATIONS:
            raise ValueError(allowed("expectation", names[0], EXPECTATIONS))
        if len(names) != 1 or not isinstance(value, dict):
            raise ValueError(f"expected one expectation, its arguments and perhaps a severity, found {_listed(names)}")
        arguments = value[names[0]]
        if arguments is not None and not isinstance(arguments, dict):
            raise ValueError(f"expected the arguments of {names[0]} as a mapping, found {arguments!r}")
        rest = {"severity": value["severity"]} if "severity" in value else {}
        return {"name": names[0], "arguments": arguments or {}, **rest}

    @model_validator(mode="after")
    def _arguments_exist(self) -> Expectation:
        if self.name not in EXPECTATIONS:
            raise ValueError(allowed("expectation", self.name, EXPECTATIONS))
        known = {argument.rstrip("!") for argument in ARGUMENTS[self.name]} | {"meta", "notes"}
        for argument in self.arguments:
            if argument == "severity":
                raise ValueError(f"severity stands beside {self.name}, not among its arguments; indent it less")
            if argument not in known:
                raise ValueError(f"unknown argument '{argument}' of {self.name}{suggestion(argument, sorted(known))}")
        missing = [name for name in sorted(ARGUMENTS[self.name]) if name[-1] == "!" and name[:-1] not in self.arguments]
        if missing:
            raise ValueError(f"{self.name} misses its argument {_listed([name[:-1] for name in missing])}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, in the order given."""
        found: list[str] = []
        for argument in ("column", "column_A", "column_B", "column_list", "column_set"):
            named = self.arguments.get(argument, [])
            found += [str(column) for column in (named if isinstance(named, (list, tuple)) else [named])]
        return tuple(found)


class Quarantine(Spec):
    """Malformed rows are set aside with their reason; a partition with a larger share fails."""

    limit: Annotated[Number, Field(ge=0, le=1)] = 0.01


def _window(value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f"expected the first and the last day, such as [-29d, -2d], found {value!r}")
    return value


LagWindow = Annotated[tuple[Lag, Lag], BeforeValidator(_window)]
"""Days relative to a partition, both included, such as `[-29d, -2d]`."""


class FeatureGroup(Spec):
    """One table of features or outcomes, published a partition (day) at a time."""

    name: Name
    version: Annotated[Whole, Field(ge=1)] = 1
    owner: str = Field(min_length=1)
    description: str = Field(min_length=1)
    timezone: str = "UTC"
    keys: tuple[Column, ...] = Field(min_length=1, description="with ds, these identify a row")
    event_time: Column
    available_at: Column
    source: Source
    publishes: dict[Column, ColumnType] = Field(
        min_length=1, description="columns that transform() returns, keys included"
    )
    first_partition: Day = Field(description="the earliest partition that exists upstream")
    schedule: Schedule
    reads: dict[Name, LagWindow] = Field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    quarantine: Quarantine = Quarantine()
    restatement: Restatement = "mark"
    """What happens to published days when something that they were made from is published again with other rows."""
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones, such as 'America'
            raise ValueError(f"expected a time zone such as 'America/New_York', found '{name}'") from None
        return name

    @field_validator("keys")
    @classmethod
    def _each_once(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if twice := repeated(keys):
            raise ValueError(f"expected each column once, found twice: {', '.join(twice)}")
        return keys

    @field_validator("source")
    @classmethod
    def _times_and_keys_land(cls, source: Source, info: ValidationInfo) -> Source:
        named = [(("keys", number), key) for number, key in enumerate(info.data.get("keys", ()))]
        times = [((key,), info.data[key]) for key in ("event_time", "available_at") if key in info.data]
        faults = [
            Fault(loc, allowed("source column", column, source.columns))
            for loc, column in [*named, *times]
            if column not in source.columns
        ]
        faults += [
            Fault(loc, f"expected a column of type timestamp or date, found {column} of type {source.columns[column]}")
            for loc, column in times
            if source.columns.get(column, "timestamp") not in ("timestamp", "date")
        ]
        return _unless(faults, source)

    @field_validator("publishes")
    @classmethod
    def _keys_are_published(cls, publishes: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        faults = [
            Fault(("keys", number), allowed("published column", key, publishes))
            for number, key in enumerate(info.data.get("keys", ()))
            if key not in publishes
        ]
        faults += [
            Fault(("publishes", column), "is added by the library; leave it out")
            for column in publishes
            if column.casefold() in SYSTEM_COLUMNS
        ]
        return _unless(faults, told_apart(publishes))

    @field_validator("schedule")
    @classmethod
    def _starts_with_data(cls, schedule: Schedule, info: ValidationInfo) -> Schedule:
        first = info.data.get("first_partition")
        earliest = first + timedelta(days=schedule.delay) if first else None
        if earliest and schedule.start < earliest:
            after = f" plus the delay of {schedule.delay}d" if schedule.delay else ""
            message = f"expected a day from {earliest} on, first_partition ({first}){after}, found {schedule.start}"
            raise Faults([Fault(("schedule", "start"), message)])
        return schedule

    @field_validator("reads")
    @classmethod
    def _lag_goes_back(cls, reads: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        faults = []
        for group, (first, last) in reads.items():
            if first > last:
                faults.append(Fault(("reads", group), f"expected the earlier end first, found [{first}d, {last}d]"))
            elif last > 0:
                faults.append(Fault(("reads", group), f"a lag into the future would leak, found [{first}d, {last}d]"))
        return _unless(faults, reads)

    @field_validator("expectations")
    @classmethod
    def _about_published_columns(
        cls, expectations: tuple[Expectation, ...], info: ValidationInfo
    ) -> tuple[Expectation, ...]:
        publishes = info.data.get("publishes")
        if publishes is None:
            return expectations
        faults = [
            Fault(("expectations", number, expectation.name), allowed("published column", column, publishes))
            for number, expectation in enumerate(expectations)
            for column in expectation.columns
            if column not in {*publishes, *SYSTEM_COLUMNS}
        ]
        return _unless(faults, expectations)

    @property
    def table(self) -> str:
        """The table's name in the lake; it bears the version."""
        return f"features.{self.name}_v{self.version}"

    @property
    def ingestion(self) -> str:
        """The DAG that ingests it by its schedule, and what incidents of ingestion are about."""
        return f"ingest_{self.name}"

    def path(self, ds: date) -> str:
        """Where the file of that day lies, below the landing root."""
        return self.source.path.format(ds=ds.isoformat())

    def needs(self, interval: Interval, other: FeatureGroup) -> Interval | None:
        """The partitions of `other` that `interval` reads; None where all lie before its first."""
        return interval.lagged(self.reads[other.name]).from_(other.first_partition)


def _unless(faults: list[Fault], value: T) -> T:
    if faults:
        raise Faults(faults)
    return value


def _listed(names: list[Any]) -> str:
    return ", ".join(str(name) for name in names) or "nothing"

"""A small bundle that a test writes: `readings` (known late), and `plans`, which reads them with a lag.

Three sensors, two rows each a day; all times are New York's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from textwrap import dedent, indent
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql import SparkSession

from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.publish import Published, ingest_interval
from include.mlops.steps.platform import Platform

ZONE = ZoneInfo("America/New_York")
SENSORS = ("a", "b", "c")
COLUMNS = ("sensor", "slot", "at", "value", "note", "known_at")
SPEC = """\
name: {name}
version: {version}
owner: team
description: made up
timezone: America/New_York
keys: [sensor, slot]
event_time: at
available_at: known_at
first_partition: 2013-03-01
schedule: {{start: 2013-03-05, delay: {delay}d, late: {late}}}
quarantine: {{limit: {limit}}}
restatement: {restatement}
source:
  {source}
  empty: {empty}
  drift: {drift}
  columns: {{sensor: string, slot: int, at: timestamp, value: double, note: string, known_at: timestamp}}
reads: {{{reads}}}
publishes: {{{publishes}}}
expectations:
{expectations}
"""
READINGS = """\
from pyspark.sql import functions as F

def transform(rows, reads):
    return rows.withColumn("hour", F.hour("at"))
"""
PLANS = """\
from pyspark.sql import functions as F

from include.mlops.features import mean

def transform(rows, reads):
    past = reads["{readings}"]
    means = past.trailing(by=["sensor"], mean_value=mean(F.col("value")))
    last = past.latest(["value", "note"], by=["sensor"])
    last = last.withColumnsRenamed({{"value": "last_value", "note": "last_note"}})
    return rows.join(means, ["ds", "sensor"], "left").join(last, ["ds", "sensor"], "left")
"""


@dataclass
class Bundle:
    """Specifications, landed files and the platform of one test or of the tests of a module."""

    settings: Settings
    spark: SparkSession
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def readings(self) -> str:
        return f"readings_{self.mark}"

    @property
    def plans(self) -> str:
        return f"plans_{self.mark}"

    def write_readings(self, transform: str = READINGS, **changes: Any) -> None:
        publishes = "sensor: string, slot: int, value: double, note: string, hour: int"
        self._write(self.readings, transform, {"delay": 2, "publishes": publishes, **changes})

    def write_plans(self, transform: str = PLANS, lag: str = "[-4d, -2d]", **changes: Any) -> None:
        publishes = (
            "sensor: string, slot: int, value: double, mean_value: double, last_value: double, last_note: string"
        )
        reads = f"{self.readings}: {lag}"
        text = transform.replace("{readings}", self.readings).replace("{{", "{").replace("}}", "}")
        self._write(self.plans, text, {"reads": reads, "publishes": publishes, **changes})

    def _write(self, name: str, transform: str, changes: dict[str, Any]) -> None:
        form = changes.get("format", "csv")
        told = {"version": 1, "delay": 0, "limit": 0.2, "reads": "", "expectations": "  []", "drift": "{}"}
        told |= {"late": "fail", "empty": "fail", "restatement": "mark", **changes}
        told.setdefault("source", f'format: {form}\n  path: "{name}/{{ds}}.{form}"')
        folder = self.settings.specs / "feature_groups" / name
        folder.mkdir(parents=True, exist_ok=True)
        told["expectations"] = indent(dedent(told["expectations"]).strip("\n"), "  ")
        (folder / "feature_group.yaml").write_text(SPEC.format(name=name, **told))
        (folder / "transform.py").write_text(transform)

    def platform(self) -> Platform:
        """A fresh one, as a new task would make it, on the Spark session that all tests share."""
        made = Platform(self.settings)
        vars(made)["spark"] = self.spark
        return made

    def group(self, name: str) -> FeatureGroup:
        return self.platform().specs.group(name)

    def path(self, name: str, ds: date) -> Path:
        return Path(self.settings.landing) / self.group(name).path(ds)

    def land(self, name: str, ds: date, content: bytes | Sequence[dict[str, Any]]) -> Path:
        path = self.path(name, ds)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else csv(content))
        return path

    def run(self, name: str, first: date, last: date | None = None, run_id: str = "run", **more: Any) -> Published:
        platform = self.platform()
        return ingest_interval(platform, platform.specs.group(name), Interval(first, last or first), run_id, **more)

    def rows(self, name: str, first: date, last: date | None = None) -> list[dict[str, Any]]:
        """What readers see, in the order of days and keys."""
        table = self.platform().lake.read(self.group(name).table, Interval(first, last or first))
        return sorted(table.to_pylist(), key=lambda row: (row["ds"], row["sensor"], row["slot"]))

    def quarantine(self, name: str, first: date, last: date | None = None) -> list[dict[str, Any]]:
        table = self.platform().lake.read(f"quarantine.{name}", Interval(first, last or first))
        return sorted(table.to_pylist(), key=lambda row: (row["ds"], row["reason"], row["record"]))

    def published(self, name: str, first: date, last: date | None = None) -> dict[date, Any]:
        """The ledger's record."""
        return self.platform().ledger.publications.over(self.group(name).table, Interval(first, last or first))


def day(number: int) -> date:
    """A day of March 2013; clocks went forward on the 10th."""
    return date(2013, 3, 1) + timedelta(days=number - 1)


def local(ds: date, hour: int = 0, minute: int = 0, second: int = 0, *, later: int = 0) -> str:
    """A time on that day, or `later` days after it, as files tell it."""
    return f"{datetime.combine(ds + timedelta(days=later), time(hour, minute, second)):%Y-%m-%d %H:%M:%S}"


def readings(ds: date, *, known: str | None = None) -> list[dict[str, Any]]:
    """Six rows, known on the morning after."""
    return [
        {
            "sensor": sensor,
            "slot": slot,
            "at": local(ds, 6 + slot),
            "value": round(ds.day + number * 0.1 + slot / 7, 6),
            "note": f"{sensor}{slot} of {ds}",
            "known_at": known or local(ds, 10, later=1),
        }
        for number, sensor in enumerate(SENSORS)
        for slot in (0, 1)
    ]


def plans(ds: date) -> list[dict[str, Any]]:
    """Six rows, known at noon of the day before."""
    return readings(ds, known=local(ds, 12, later=-1))


def change(rows: Sequence[dict[str, Any]], index: int, **values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} if number == index else dict(row) for number, row in enumerate(rows)]


def csv(rows: Iterable[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> bytes:
    lines = [",".join(columns), *(",".join(str(row.get(column, "")) for column in columns) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def json_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()

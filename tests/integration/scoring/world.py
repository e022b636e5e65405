"""A small airline: thirty days of flights, two versions of a model of their delays, and a lake of each test's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.mlops.lake.digest import digest
from include.mlops.ledger.publications import Publication
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.load import Specs
from include.mlops.spec.model import Model
from include.mlops.steps.monitoring.monitor import Monitored, monitor
from include.mlops.steps.monitoring.performance import Measured, measure
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring.score import Scored, score

FIRST, DAYS, A_DAY = date(2013, 1, 1), 30, 120
V1_AS_OF, V2_AS_OF = 15, 20  # days; version 1 saw days 2 to 14, version 2 days 7 to 19
KEYS = ["carrier", "flight"]
COLUMNS = ["carrier", "hour", "wind", "holiday", "terminal"]
_TIMES = {"event_time": "timestamp", "available_at": "timestamp", "known_from": "date", "ds": "date"}


def day(number: int) -> date:
    """Day 1 is the first of January."""
    return FIRST + timedelta(days=number - 1)


def days(first: int, last: int) -> Interval:
    return Interval(day(first), day(last))


def _group(name: str, publishes: dict[str, str], delay: int, flight: str = "int") -> FeatureGroup:
    return FeatureGroup.model_validate(
        {
            "name": name,
            "owner": "team",
            "description": "made up",
            "keys": KEYS,
            "event_time": "at",
            "available_at": "at",
            "source": {
                "format": "csv",
                "path": name + "/{ds}.csv",
                "columns": {"carrier": "string", "flight": flight, "at": "timestamp"},
            },
            "publishes": {"carrier": "string", "flight": flight, **publishes},
            "first_partition": FIRST,
            "schedule": {"start": FIRST + timedelta(days=delay), "delay": f"{delay}d"},
        }
    )


FLIGHTS = _group("flights", {"hour": "int", "wind": "double", "holiday": "boolean", "terminal": "int"}, 0)
OUTCOMES = _group("outcomes", {"delay": "double"}, 1)
OUTCOMES_BY_LONG = _group("outcomes", {"delay": "double"}, 1, flight="long")


def late_flights(name: str = "late", **changes: Any) -> Model:
    return Model.model_validate(
        {
            "name": name,
            "owner": "team",
            "task": "binary",
            "features": {"group": "flights", "columns": COLUMNS},
            "label": {"group": "outcomes", "expression": "delay > 15"},
            "training": {"window": "10d", "holdout": "3d", "rounds": 12, "threads": 1, "parameters": {"max_depth": 3}},
            "gate": {"metric": "roc_auc", "minimum": 0.6},
            **changes,
        }
    )


def flights(ds: date, rows: int = A_DAY, **changes: Any) -> pa.Table:
    """A day of flights; `changes` are whole columns in place of the usual ones."""
    random = np.random.default_rng(ds.toordinal())
    values = {
        "carrier": random.choice(["AA", "UA", "ZZ"], A_DAY).tolist(),
        "flight": pa.array(range(A_DAY), pa.int32()),
        "hour": pa.array(random.integers(0, 24, A_DAY), pa.int32()),
        "wind": random.normal(size=A_DAY),
        "holiday": random.random(A_DAY) < 0.2,
        "terminal": pa.array([4] * A_DAY, pa.int32()),
    }
    return _with_times({**values, **changes}, ds).slice(0, rows)


def outcomes(ds: date, **changes: Any) -> pa.Table:
    """ZZ is late, and so are late hours; every tenth flight was cancelled and has no delay."""
    table, random = flights(ds), np.random.default_rng(ds.toordinal() + 1)
    late, hour = np.array(table["carrier"].to_pylist()) == "ZZ", table["hour"].to_numpy()
    delay = random.normal(4, 6, A_DAY) + 14 * late + 0.4 * hour
    values = {"carrier": table["carrier"], "flight": table["flight"]}
    return _with_times({**values, "delay": pa.array(delay, mask=np.arange(A_DAY) % 10 == 0), **changes}, ds)


def delays(ds: date) -> np.ndarray[Any, Any]:
    """Those of `outcomes`, NaN for cancelled flights."""
    return outcomes(ds)["delay"].to_numpy(zero_copy_only=False)


def _with_times(values: dict[str, Any], ds: date) -> pa.Table:
    table = pa.table(values)
    noon = pa.array([f"{ds}T12:00:00+00:00"] * table.num_rows).cast(pa.timestamp("us", tz="UTC"))
    for name in ("event_time", "available_at"):
        table = table.append_column(name, noon)
    for name in ("known_from", "ds"):
        table = table.append_column(name, pa.array([ds] * table.num_rows, pa.date32()))
    return table


@dataclass(frozen=True)
class World:
    """The platform of one test, and its model."""

    platform: Platform
    model: Model

    @classmethod
    def of(
        cls, state: str | Path, mlflow_url: str, name: str, *, labels: FeatureGroup = OUTCOMES, **places: str
    ) -> World:
        """Opened by subprocesses too. `places` are settings, such as another catalog."""
        settings = Settings(**places, state=Path(state), mlflow_url=mlflow_url, sample_rows=300)
        specs = Specs({"flights": FLIGHTS, "outcomes": labels}, {})
        return cls(Platform(settings, specs), late_flights(name))

    def publish(
        self, rows: pa.Table, published: Collection[date], group: FeatureGroup = FLIGHTS, *, counted: int | None = None
    ) -> None:
        """Publish `rows` as those days; `counted` is what the ledger says of each, where that is not the truth."""
        lake, ledger = self.platform.lake, self.platform.ledger
        lake.create(group.table, {**group.publishes, **_TIMES})
        snapshot = lake.replace(group.table, rows.select([*group.publishes, *_TIMES]), list(published))
        held = rows["ds"].to_pylist()
        ledger.publications.record(
            Publication(
                group.table,
                ds,
                held.count(ds) if counted is None else counted,
                "meaning",
                "run",
                snapshot_id=snapshot,
                digest=digest(rows.filter(pc.equal(rows["ds"], ds)).to_batches()),
            )
            for ds in published
        )

    def publish_flights(self, number: int, **changes: Any) -> None:
        self.publish(flights(day(number), **changes), [day(number)])

    def publish_outcomes(self, *numbers: int) -> None:
        self.publish(pa.concat_tables([outcomes(day(n)) for n in numbers]), [day(n) for n in numbers], OUTCOMES)

    def live(self, version: int, first: int) -> None:
        self.platform.ledger.releases.promote(self.model.name, version, day(first))

    def score(self, first: int, last: int | None = None, run_id: str = "run", **options: Any) -> Scored:
        return score(self.platform, self.model, days(first, last or first), run_id, **options)

    def monitor(self, number: int, run_id: str = "run") -> Monitored:
        return monitor(self.platform, self.model, day(number), run_id)

    def measure(self, first: int, last: int | None = None, run_id: str = "run") -> list[Measured]:
        return measure(self.platform, self.model, days(first, last or first), run_id)

    def predictions(self, first: int, last: int | None = None) -> pa.Table:
        """Published rows, in the order of day and keys."""
        found = self.platform.lake.read(self.model.predictions, days(first, last or first))
        return found.sort_by([(name, "ascending") for name in ("ds", *KEYS)])

    def told(self) -> list[tuple[str, str, date]]:
        """(event, kind, day) of all messages, oldest first."""
        messages = reversed(self.platform.ledger.incidents.list_outbox())
        return [(message.event, message.kind, message.ds) for message in messages]

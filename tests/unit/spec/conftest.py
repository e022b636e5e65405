"""A small valid bundle that the corpus breaks: `flights` reads `outcomes`, and three models learn from both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

OUTCOMES = """\
name: outcomes
owner: team-ops
description: How late each flight arrived.
timezone: America/New_York
keys: [carrier, flight]
event_time: scheduled_at
available_at: available_at
source:
  format: csv
  path: outcomes/{ds}.csv
  columns:
    carrier: string
    flight: int
    scheduled_at: timestamp
    arr_delay: double
    diverted: boolean
    available_at: timestamp
publishes:
  carrier: string
  flight: int
  arr_delay: double
  diverted: boolean
first_partition: 2013-01-01
schedule:
  start: 2013-04-05
  delay: 2d
  deadline: 12h
expectations:
  - expect_column_values_to_not_be_null: {column: carrier}
  - expect_column_values_to_be_between: {column: arr_delay, min_value: -180, max_value: 2000}
    severity: warning
quarantine:
  limit: 0.01
"""

FLIGHTS = """\
name: flights
version: 2
owner: team-ops
description: The schedule.
timezone: America/New_York
keys: [carrier, flight]
event_time: scheduled_at
available_at: available_at
source:
  format: csv
  path: flights/{ds}.csv
  columns:
    carrier: string
    flight: int
    scheduled_at: timestamp
    distance: double
    available_at: timestamp
publishes:
  carrier: string
  flight: int
  distance: double
  scheduled_on: date
  carrier_delay: double
first_partition: 2013-01-30
schedule:
  start: 2013-04-05
reads:
  outcomes: [-29d, -2d]
"""

LATE = """\
name: late
owner: team-ops
task: binary
features:
  group: flights
  columns: [carrier, distance, carrier_delay]
label:
  group: outcomes
  expression: arr_delay > 15
  due_after: 1d
training:
  every: week
  window: 56d
  holdout: 7d
  rounds: 60
  parameters:
    max_depth: 5
gate:
  metric: roc_auc
  minimum: 0.6
retraining:
  on_drift: true
  cooldown: 7d
"""

DELAY = """\
name: delay
owner: team-ops
task: regression
features: {group: flights, columns: [carrier, distance]}
label: {group: outcomes, expression: arr_delay}
training: {window: 56d, holdout: 7d}
gate: {metric: rmse, maximum: 60}
"""

HOW_LATE = """\
name: how_late
owner: team-ops
task: multiclass
features: {group: flights, columns: [carrier, distance]}
label:
  group: outcomes
  expression: "'late' if arr_delay > 15 else 'very_early' if arr_delay < -30 else 'on_time'"
  classes: [on_time, late, very_early]
training: {window: 56d, holdout: 7d}
gate: {metric: f1_macro, minimum: 0.3}
"""

TRANSFORM = dedent('''\
    """Rows as they landed."""

    import os


    def transform(rows, reads):
        return rows
''')

BUNDLE = {
    "feature_groups/outcomes/feature_group.yaml": OUTCOMES,
    "feature_groups/outcomes/transform.py": TRANSFORM,
    "feature_groups/flights/feature_group.yaml": FLIGHTS,
    "feature_groups/flights/transform.py": TRANSFORM,
    "models/late.yaml": LATE,
    "models/delay.yaml": DELAY,
    "models/how_late.yaml": HOW_LATE,
}


@dataclass(frozen=True)
class Bundle:
    """Files under `root`."""

    root: Path

    def write(self, file: str, text: str | bytes) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def replace(self, file: str, old: str, new: str) -> None:
        """Change the one place where `old` stands."""
        text = (self.root / file).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        self.write(file, text.replace(old, new))


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[[str], Bundle]:
    def make(name: str = "specs") -> Bundle:
        bundle = Bundle(tmp_path / name)
        for file, text in BUNDLE.items():
            bundle.write(file, text)
        return bundle

    return make


@pytest.fixture
def bundle(make_bundle: Callable[[str], Bundle]) -> Bundle:
    return make_bundle("specs")

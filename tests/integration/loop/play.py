"""What is played: three nights of the example, and what a test may look at."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date

from include.demo.airflow_api import AirflowApi
from include.demo.run import Demo
from include.demo.scenario import Scenario
from include.mlops.settings import Settings
from include.mlops.steps.platform import Platform

MODEL, OTHER = "flight_delay", "arrival_delay"
FIRST = date(2013, 4, 5)
SCENARIO = Scenario(nights=3)  # 5 to 7 April: the shift of the 6th is confirmed on the 7th, outcomes of the 5th arrive


@dataclass(frozen=True)
class Played:
    demo: Demo
    airflow: AirflowApi
    settings: Settings
    printed: io.StringIO

    @property
    def platform(self) -> Platform:
        return self.demo.platform

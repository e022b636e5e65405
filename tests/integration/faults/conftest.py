"""The airline of the scoring tests and the bundle of the ingestion tests, to which things happen here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.faults.steps import Airline
from tests.integration.ingest.conftest import new_bundle, spark
from tests.integration.scoring.conftest import another_world, home
from tests.integration.scoring.world import World

__all__ = ["another_world", "home", "new_bundle", "spark"]


@pytest.fixture
def airline(another_world: Callable[[], World]) -> Airline:
    """Flights of thirty days, version 1 live from day 16 on, nothing scored."""
    return Airline.of(another_world())

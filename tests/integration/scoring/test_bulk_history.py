"""A bulk run over history: scored in one job, and measured where labels are there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.mlops.spec.load import Specs
from include.mlops.steps.platform import Platform
from tests.integration.scoring.world import World, day, days

pytestmark = pytest.mark.slow


def test_a_bulk_run_of_a_model_measures_each_day_that_has_labels(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events of those labels came before there were predictions, so that no other DAG will measure these days."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))  # where importing Airflow leaves its files
    from include.mlops.orchestration.operations_dags import over

    world.publish_outcomes(16, 17, 18)
    rooms = Platform(world.platform.settings, Specs(world.platform.specs.groups, {world.model.name: world.model}))

    done = over(rooms, world.model.name, days(17, 20), "bulk")

    assert set(done["scored"]["rows"]) == {str(day(n)) for n in range(17, 21)}
    assert done["measured"] == 2
    assert set(rooms.ledger.monitoring.metrics(world.model.name, "performance")) == {day(17), day(18)}
    assert world.told() == []

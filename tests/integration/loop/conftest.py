"""The loop through Airflow itself: the demo's history, first versions and first nights, played once for this folder.

Files run in the order of their names: `test_nights` looks at what the nights left before others make some of it again.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from include.demo.airflow_api import AirflowApi
from include.demo.run import Demo
from include.mlops.local.airflow import ADMIN, admin_password
from include.mlops.local.ports import free_port
from include.mlops.local.stack import LocalStack
from include.mlops.settings import ROOT, Settings
from tests.integration.loop.play import SCENARIO, Played


@pytest.fixture(scope="package")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    settings = Settings(
        state=tmp_path_factory.mktemp("loop"),
        specs=_that_recompute(tmp_path_factory.mktemp("include")),
        airflow_port=free_port(),
        mlflow_port=free_port(),
        spark_port=free_port(),
    )
    printed = io.StringIO()
    with LocalStack(settings) as stack:
        airflow = AirflowApi(stack.addresses["airflow"], ADMIN, admin_password(settings))
        demo = Demo(settings, SCENARIO, airflow, stack, Console(file=printed, width=200))
        demo.play()
        yield Played(demo, airflow, settings, printed)


def _that_recompute(folder: Path) -> Path:
    """The example's specifications; what depends on a day that is published again is made again."""
    for name in ("feature_groups", "models"):
        shutil.copytree(ROOT / "include" / name, folder / name)
    for file in (folder / "feature_groups" / "scheduled_flights" / "feature_group.yaml", *folder.glob("models/*.yaml")):
        file.write_text(f"{file.read_text().rstrip()}\nrestatement: recompute\n")
    return folder

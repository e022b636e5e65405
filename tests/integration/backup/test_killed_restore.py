"""SIGKILL in the middle of a restore: nothing counts, and the same command ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from include.mlops.errors import BackupUnusable
from include.mlops.ledger.ledger import Ledger
from include.mlops.local.airflow import exported
from include.mlops.settings import ROOT
from include.mlops.steps.backup.backup import BackedUp, backup
from include.mlops.steps.backup.restore import restore
from tests.integration.scoring.world import FLIGHTS, V1_AS_OF, World, days

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("killed.py")
RESTORE = "include.mlops.steps.backup.restore"
KILLS = {
    "in the first files": (f"{RESTORE}:write_whole", 3),
    "among a table's metadata": ("include.mlops.lake.relocation:_list", 2),
    "in MLflow's rows": ("include.mlops.stored_rows:_insert", 5),
    "between two tables of the catalog": ("include.mlops.lake.relocation:register", 2),
    "before the ledger": ("include.mlops.ledger.ledger:Ledger.restore", 1),
}


def test_a_killed_restore_counts_for_nothing_and_is_ended_by_the_same_command(
    world: World, backed_up: tuple[Path, BackedUp], another: Callable[..., World], tmp_path: Path
) -> None:
    restored, point = another(), backed_up[1].point
    environment = {**os.environ, **exported(restored.platform.settings), "PYTHONPATH": str(ROOT)}
    for moment, (function, number) in KILLS.items():
        command = [sys.executable, str(PROGRAM), str(backed_up[0]), function, str(number)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == -signal.SIGKILL, f"{moment}: {done.stderr[-2000:]}"
        ledger = Ledger(restored.platform.settings.ledger)
        assert (ledger.counts(), ledger.restoring()) == ({}, point.name), moment
    newer = backup(world.platform, str(tmp_path / "other"), lambda _: None)
    with pytest.raises(BackupUnusable, match=f"found that of {point.name}; go on with it"):
        restore(restored.platform, str(tmp_path / "other"), newer.point.name, lambda _: None)
    restore(restored.platform, str(backed_up[0]), "", lambda _: None)
    assert restored.platform.ledger.counts() == point.ledger.rows
    found, expected = (one.platform.lake.read(FLIGHTS.table, days(1, 20)).num_rows for one in (restored, world))
    assert found == expected
    assert restored.predictions(V1_AS_OF + 1).equals(world.predictions(V1_AS_OF + 1))

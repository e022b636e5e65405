"""Airflow's triggerer, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from include.mlops.settings import ROOT

PATIENCE = 120.0  # seconds, of a machine that is busy


@contextmanager
def triggerer(folder: Path) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Gives a function that waits until something is so, and fails with the triggerer's log where it never is."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "0"}
    command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
    printed = folder / "triggerer.log"
    with printed.open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

        def until(so: Callable[[], bool]) -> None:
            end = time.monotonic() + PATIENCE
            while not so():
                assert time.monotonic() < end, printed.read_text()[-5000:]
                time.sleep(0.5)

        try:
            yield until
        finally:
            process.terminate()
            process.wait(60)

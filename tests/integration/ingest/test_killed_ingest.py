"""SIGKILL between any two effects, then the same run again: what a clean run leaves, and nobody saw a half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.mlops.local.airflow import exported
from include.mlops.settings import ROOT
from tests.integration.ingest.bundle import Bundle, change, day, readings

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("killed.py")
DS = day(4)
COMMIT = "include.mlops.lake.staging.publish"
DECLARATION = "include.mlops.ledger.publications:Publications.declare"
RECORD = "include.mlops.ledger.publications:Publications.record"


def _killed_before(bundle: Bundle, function: str) -> None:
    environment = {**os.environ, **exported(bundle.settings), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), bundle.readings, str(DS), function]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def _land(bundle: Bundle) -> None:
    bundle.land(bundle.readings, DS, [*change(readings(DS), 2, value=77.0), {**readings(DS)[0], "sensor": ""}])


def _outcome(bundle: Bundle) -> tuple[Any, ...]:
    """Rows, quarantine and record, but for the run, the commit and the place of files."""
    [record] = bundle.published(bundle.readings, DS).values()
    aside = [(row["reason"], row["record"]) for row in bundle.quarantine(bundle.readings, DS)]
    return bundle.rows(bundle.readings, DS), aside, record.rows, record.quarantined, record.run_id


@pytest.fixture(scope="module")
def clean(new_bundle: Callable[[], Bundle]) -> tuple[Any, ...]:
    """What one run that nobody disturbs leaves."""
    bundle = new_bundle()
    bundle.write_readings()
    _land(bundle)
    bundle.run(bundle.readings, DS, run_id="again")
    return _outcome(bundle)


def test_killed_between_staging_and_publishing(clean: tuple[Any, ...], new_bundle: Callable[[], Bundle]) -> None:
    bundle = new_bundle()
    bundle.write_readings()
    bundle.land(bundle.readings, DS, readings(DS)[:4])
    bundle.run(bundle.readings, DS, run_id="old")
    old = bundle.rows(bundle.readings, DS)
    _land(bundle)
    _killed_before(bundle, COMMIT)
    assert bundle.rows(bundle.readings, DS) == old, "readers see nothing of what was staged"
    assert bundle.published(bundle.readings, DS)[DS].run_id == "old"
    bundle.run(bundle.readings, DS, run_id="again")
    assert _outcome(bundle) == clean


def test_killed_between_the_commit_and_its_record(clean: tuple[Any, ...], new_bundle: Callable[[], Bundle]) -> None:
    """At the very first publication: before the meaning is declared, and then once more before the record."""
    bundle = new_bundle()
    bundle.write_readings()
    _land(bundle)
    for function in (DECLARATION, RECORD):
        _killed_before(bundle, function)
        assert bundle.rows(bundle.readings, DS) == clean[0], "the commit was whole"
        assert bundle.published(bundle.readings, DS) == {}
    bundle.run(bundle.readings, DS, run_id="again")
    assert _outcome(bundle) == clean

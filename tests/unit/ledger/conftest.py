"""A migrated ledger on sqlite, and on Postgres."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.mlops.ledger.ledger import Ledger
from tests.postgres import schema_of_its_own

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
        return
    with schema_of_its_own(request.getfixturevalue("postgres")) as found:
        yield found


@pytest.fixture
def open_ledger() -> Iterator[Callable[[str], Ledger]]:
    """Opens ledgers and closes them after the test."""
    opened: list[Ledger] = []

    def open_(url: str) -> Ledger:
        opened.append(Ledger(url))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(url: str, open_ledger: Callable[[str], Ledger]) -> Ledger:
    ledger = open_ledger(url)
    ledger.migrate()
    return ledger


@pytest.fixture
def processes() -> Callable[..., list[str]]:
    """Runs code in processes that start together, with the ledger's URL in LEDGER; returns what each printed."""

    def run(code: str, url: str, number: int = 4) -> list[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "LEDGER": url}
        running = [
            subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=-1, stderr=-2, text=True)
            for _ in range(number)
        ]
        printed = [process.communicate(timeout=120)[0] for process in running]
        assert [process.returncode for process in running] == [0] * number, printed
        return printed

    return run

"""Opening a ledger that is up to date: what every task pays."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from include.mlops.ledger.ledger import HEAD, MIGRATIONS, Ledger

ROOT = Path(__file__).resolve().parents[3]


def test_the_files_of_migrations_are_named_after_their_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)

    assert scripts.get_current_head() == HEAD
    assert all(Path(script.path).name.startswith(script.revision) for script in scripts.walk_revisions())


def test_a_ledger_that_is_up_to_date_is_opened_while_another_process_writes(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path}/ledger.db").migrate()
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    Ledger(f"sqlite:///{tmp_path}/ledger.db?timeout=0.1").migrate()

    other.close()


def test_a_ledger_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(url).migrate()
    code = "import sys; from include.mlops.steps.platform import Platform; Platform().ledger; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLOPS_LEDGER_URL": url}

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    loaded = done.stdout.split()
    assert "sqlalchemy" in loaded
    assert "alembic" not in loaded

"""Airflow reads specifications every few seconds: reading them must not import what only running needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = {
    *("airflow", "alembic", "evidently", "great_expectations", "mlflow", "numpy", "pandas", "pyarrow", "pyiceberg"),
    *("pyspark", "scipy", "sklearn", "slack_sdk", "sqlalchemy", "xgboost"),
}
CHECK = """
from include.mlops.cli.main import app
from typer.testing import CliRunner
assert CliRunner().invoke(app, ["check"]).exit_code == 0
"""


@pytest.mark.parametrize(
    "code",
    [
        "import include.mlops.spec.load as load, pathlib; assert not load.load_specs(pathlib.Path('include')).findings",
        "import include.mlops.spec.meaning",
        CHECK,
    ],
    ids=["load", "meaning", "check"],
)
def test_reading_specifications_imports_nothing_heavy(code: str) -> None:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert HEAVY & set(json.loads(done.stdout)) == set()

"""The command `check`, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "include.mlops", "check", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_the_example_of_this_repository_is_flawless() -> None:
    done = check()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing wrong\n")


def test_findings_are_printed_one_a_line_and_the_command_fails(bundle) -> None:
    bundle.replace("models/late.yaml", "minimum: 0.6", "minimun: 0.6")
    bundle.replace("models/delay.yaml", "rmse", "rsme")

    done = check("--specs", str(bundle.root))

    assert done.returncode == 1
    delay, late = done.stdout.splitlines()
    assert delay.startswith(
        "specs/models/delay.yaml:7: gate.metric: unknown metric for the task regression 'rsme'; did"
    )
    assert late == (
        "specs/models/late.yaml:20: gate.minimun: unknown key; did you mean 'minimum'? "
        "Allowed: metric, minimum, maximum, beat_champion_by, confidence"
    )


def test_the_folder_can_be_set_in_the_environment(bundle) -> None:
    done = check(MLOPS_SPECS=str(bundle.root))

    assert done.stdout == "2 feature groups and 3 models, nothing wrong\n"


def test_a_bad_setting_is_no_traceback() -> None:
    done = check(MLOPS_SAMPLE_ROWS="lots")

    assert done.returncode == 2
    assert done.stderr.startswith("MLOPS_SAMPLE_ROWS: ")


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    done = check("--specs", str(tmp_path / "missing"))

    assert done.returncode == 2
    assert "--specs" in done.stderr

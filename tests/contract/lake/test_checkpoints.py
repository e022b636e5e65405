"""Checkpoints of trainings beside the tables."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest

from include.mlops.lake.checkpoints import StoredCheckpoints
from include.mlops.local.ports import free_port


@pytest.fixture(params=[Path.as_uri, str], ids=["address", "path"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> StoredCheckpoints:
    return StoredCheckpoints.of(request.param(tmp_path / "ware house") + "/", "late", "key", 5)


def test_only_the_newest_is_kept_and_a_copy_elsewhere_finds_it(stored: StoredCheckpoints) -> None:
    assert list(stored.left()) == []
    stored.keep(5, b"five")
    stored.keep(10, b"ten")
    assert list(pickle.loads(pickle.dumps(stored)).left()) == [b"ten"]


def test_an_older_one_that_comes_late_hides_no_newer_one(stored: StoredCheckpoints) -> None:
    stored.keep(10, b"ten")
    stored.keep(5, b"five")
    assert list(stored.left()) == [b"ten", b"five"]


def test_another_training_has_its_own(stored: StoredCheckpoints, tmp_path: Path) -> None:
    stored.keep(5, b"five")
    assert list(StoredCheckpoints.of(f"{tmp_path}/ware house", "late", "another", 5).left()) == []


def test_half_a_file_is_never_one_and_sweeping_leaves_nothing(stored: StoredCheckpoints, tmp_path: Path) -> None:
    stored.keep(5, b"five")
    (file,) = tmp_path.rglob("000005.ubj")
    (file.parent / ".000010.ubj.aa.part").write_bytes(b"te")
    assert list(stored.left()) == [b"five"]
    stored.sweep()
    stored.sweep()
    assert not file.parent.exists()


@pytest.mark.parametrize("warehouse", ["{here}", "s3a://no-such-bucket.example/lake", "what://is/this"])
def test_a_store_that_takes_nothing_costs_a_checkpoint_and_not_the_training(
    warehouse: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for name, value in {"ENDPOINT_URL": nobody, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    caplog.set_level(logging.WARNING)
    (tmp_path / "checkpoints").write_text("no folder")
    stored = StoredCheckpoints.of(warehouse.format(here=tmp_path), "late", "key", 5)
    stored.keep(5, b"five")
    assert list(stored.left()) == []
    stored.sweep()
    assert "checkpoints/late/key could not be kept" in caplog.text

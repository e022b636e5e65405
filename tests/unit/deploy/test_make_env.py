from __future__ import annotations

import base64
import stat
from pathlib import Path

from deploy.make_env import SECRETS, make_env
from tests.compose import read_env


def test_first_use_makes_every_secret_for_its_owner_alone(tmp_path: Path) -> None:
    assert make_env(tmp_path / ".env") == [*SECRETS]
    made = read_env(tmp_path / ".env")
    assert made.keys() == SECRETS.keys()
    assert len(set(made.values())) == len(made)
    assert min(map(len, made.values())) >= 20
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert len(base64.urlsafe_b64decode(made["AIRFLOW_FERNET_KEY"])) == 32


def test_second_use_changes_nothing(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    before = (tmp_path / ".env").read_bytes()
    assert make_env(tmp_path / ".env") == []
    assert (tmp_path / ".env").read_bytes() == before


def test_what_a_person_wrote_stays_and_what_is_missing_is_added(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nPOSTGRES_PASSWORD=chosen\nS3_ACCESS_KEY=\nSLACK_TOKEN=xoxb-1\n")
    assert "POSTGRES_PASSWORD" not in make_env(tmp_path / ".env")
    text, made = (tmp_path / ".env").read_text(), read_env(tmp_path / ".env")
    assert text.startswith("# mine\nPOSTGRES_PASSWORD=chosen\nSLACK_TOKEN=xoxb-1\n")
    assert made["S3_ACCESS_KEY"]
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600

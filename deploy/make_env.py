"""Makes the secrets of docker-compose.yaml, once: `.env`, which only its owner may read. `python3 deploy/make_env.py`

An `.env` that is there keeps every value it has; names that it lacks are added. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def _password() -> str:
    return secrets.token_hex(24)  # letters and digits alone: they stand in addresses, too


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


SECRETS: Mapping[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _password,
    "LEDGER_READER_PASSWORD": _password,
    "S3_ACCESS_KEY": lambda: secrets.token_hex(10),
    "S3_SECRET_KEY": _password,
    "SPARK_TOKEN": _password,
    "AIRFLOW_ADMIN_PASSWORD": _password,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_hex(64),
    "AIRFLOW_SESSION_KEY": _password,
    "GRAFANA_ADMIN_PASSWORD": _password,
}


def make_env(file: Path) -> list[str]:
    """Add the secrets that the file lacks; returns their names."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    held = {line.partition("=")[0].strip() for line in before.splitlines() if line.partition("=")[2].strip()}
    missing = [name for name in SECRETS if name not in held]
    if missing:
        lines = [line for line in before.splitlines() if line.partition("=")[0].strip() not in missing]
        text = "".join(f"{line}\n" for line in [*lines, *(f"{name}={SECRETS[name]()}" for name in missing)])
        _replace_private(file, text)
    return missing


def _replace_private(file: Path, text: str) -> None:
    """Whole or not at all: half a file of secrets would lock somebody out."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    part.replace(file)


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / ".env"
    made = make_env(target)
    sys.stdout.write(f"{target}: made {', '.join(made)}\n" if made else f"{target}: nothing to add\n")

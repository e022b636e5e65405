"""Secrets of a local stack: made once for a state folder, kept in files that only their owner may read."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from include.mlops.compute.private_file import write_private


def local_secret(folder: Path, name: str) -> str:
    """32 random bytes in URL-safe base64 (so it also serves as a Fernet key), the same at each call."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        write_private(path, base64.urlsafe_b64encode(os.urandom(32)).decode())
    return path.read_text(encoding="utf-8")

"""The state folder belongs to one running stack at a time."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from include.mlops.errors import SettingsError


class StateFolder:
    """Holds the folder for this process while it is open; the kernel gives it back however the process ends.

    The descriptor can be handed to a watchdog, which then holds the folder until it has cleaned up.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "stack.lock"
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Raises SettingsError if another stack holds the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SettingsError(self.in_use()) from None
        self._descriptor = descriptor
        self.describe({})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError("the state folder is not held")
        return self._descriptor

    def describe(self, addresses: dict[str, str]) -> None:
        """Say in the lock file who holds the folder and where its services answer."""
        text = json.dumps({"pid": os.getpid(), "addresses": addresses}).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text, 0)

    def is_held(self) -> bool:
        """True if some stack, or what cleans up after it, holds the folder now."""
        if self._descriptor is not None or not self.file.exists():
            return self._descriptor is not None
        with self.file.open("rb") as probe:
            try:
                fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def in_use(self) -> str:
        """The message for whoever finds the folder held."""
        try:
            pid = json.loads(self.file.read_text(encoding="utf-8"))["pid"]
        except (OSError, ValueError, KeyError):
            pid = "unknown"
        return (
            f"state folder {self.folder} is in use by another running stack (pid {pid}). "
            "Stop that one, or set MLOPS_STATE to another folder."
        )

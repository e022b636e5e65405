"""What each part of the ledger needs of it: a transaction that writes or reads, and the time for `recorded_at`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection


class Store(Protocol):
    def begin(self) -> AbstractContextManager[Connection]: ...

    def read(self) -> AbstractContextManager[Connection]: ...


def now() -> datetime:
    return datetime.now(UTC)

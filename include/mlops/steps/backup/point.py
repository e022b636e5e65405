"""A point: what a backup says of one moment. Contents lie in the place's pool, by their SHA-256."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from include.mlops.errors import BackupUnusable

FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kept(_Part):
    """A content in the pool."""

    sha256: str
    size: int


class KeptFile(Kept):
    """`path` is below its table's place, or below the folder of artifacts. `kind` is Iceberg's.

    `written` (ns since 1970) tells a changed file of the same size; 0 where files never change.
    """

    path: str
    kind: Literal["metadata", "list", "manifest", "data"] = "data"
    written: int = 0


class KeptRows(_Part):
    """All rows of a database, at a revision of its schema: how many each table has, and where they are."""

    revision: str
    rows: dict[str, int]
    parts: dict[str, tuple[Kept, ...]]


class KeptTable(_Part):
    """A table of the lake, whose first file is its metadata; `latest`: it has a view of its newest day."""

    name: str
    location: str
    latest: bool
    files: tuple[KeptFile, ...]


class Point(_Part):
    """In the order in which it was taken: each part refers to later ones alone."""

    format: int = FORMAT
    name: str
    made_at: datetime
    ledger: KeptRows
    registry: KeptRows
    artifacts: tuple[KeptFile, ...]
    tables: tuple[KeptTable, ...]

    def contents(self) -> Iterator[tuple[str, Kept]]:
        """Everything that it needs of the pool, and what that is to a reader of messages."""
        for whose, rows in (("ledger", self.ledger), ("MLflow", self.registry)):
            yield from ((f"rows of {whose}.{table}", part) for table, parts in rows.parts.items() for part in parts)
        yield from ((f"artifact {file.path}", file) for file in self.artifacts)
        yield from chain.from_iterable(
            ((f"{table.name}: {file.path}", file) for file in table.files) for table in self.tables
        )


def read_point(content: bytes, address: str) -> Point:
    """Raises BackupUnusable where it is none, or one of a newer version."""
    try:
        found = from_json(content)
        written_as = found.get("format") if isinstance(found, dict) else None
        if isinstance(written_as, int) and written_as > FORMAT:
            raise BackupUnusable(
                f"expected a backup of format {FORMAT} at {address}, found {written_as}, which a newer version of this "
                "code wrote; restore with that version"
            )
        return Point.model_validate(found)
    except (ValueError, ValidationError) as error:
        raise BackupUnusable(
            f"expected a backup at {address}, found something else: {str(error)[:300]}; restore another point"
        ) from None

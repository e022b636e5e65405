"""A database of somebody else's: sqlite, and Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import schema_of_its_own


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crm.db'}?timeout=0.2"
        return
    with schema_of_its_own(request.getfixturevalue("postgres")) as found:
        yield found

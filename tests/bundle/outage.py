"""A ledger that does not answer: something else stands where its file was."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform


class Outage:
    """Whoever opens the ledger while this lasts gets ServiceUnavailable."""

    def __init__(self, rooms: Platform) -> None:
        rooms.ledger.close()
        self._ledger = rooms.settings.state / "ledger.db"
        self._aside = self._ledger.with_name("aside.db")

    def __enter__(self) -> None:
        self._ledger.rename(self._aside)
        self._ledger.mkdir()

    def end(self) -> None:
        if self._aside.exists():
            self._ledger.rmdir()
            self._aside.rename(self._ledger)

    def __exit__(self, *_: object) -> None:
        self.end()

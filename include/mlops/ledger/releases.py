"""Which version was live for which data dates, and the audit log of decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, insert, or_, select, update

from include.mlops.ledger.store import Store, now
from include.mlops.ledger.tables import decisions, live_intervals


@dataclass(frozen=True)
class LiveInterval:
    """`version` scores the days `first_ds` to `last_ds`; None: still live."""

    model: str
    version: int
    first_ds: date
    last_ds: date | None


@dataclass(frozen=True)
class Decision:
    """One row of the audit log."""

    model: str
    ds: date
    action: str
    outcome: str
    actor: str
    reason: str
    version: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


class Releases:
    """Live intervals in data dates, and who decided what."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def live(self, model: str, ds: date) -> int | None:
        """The version live for `ds`."""
        query = select(live_intervals.c.version).where(
            live_intervals.c.model == model,
            live_intervals.c.first_ds <= ds,
            or_(live_intervals.c.last_ds.is_(None), live_intervals.c.last_ds >= ds),
        )
        with self._store.read() as connection:
            return connection.execute(query.order_by(live_intervals.c.id.desc()).limit(1)).scalar()

    def intervals(self, model: str) -> list[LiveInterval]:
        """All live intervals, oldest first; without those that another promotion for the same day left empty."""
        columns = [live_intervals.c[name] for name in LiveInterval.__dataclass_fields__]
        query = (
            select(*columns).where(live_intervals.c.model == model, _not_empty()).order_by(live_intervals.c.first_ds)
        )
        with self._store.read() as connection:
            return [LiveInterval(**row) for row in connection.execute(query).mappings()]

    def promote(self, model: str, version: int, first_ds: date) -> None:
        """`version` is live from `first_ds`; what was live before ends the day before. Doing it twice changes nothing.

        Raises ValueError where a later interval has begun already: history is not rewritten.
        """
        with self._store.begin() as connection:
            begun = connection.execute(
                select(live_intervals).where(live_intervals.c.model == model, _not_empty()).with_for_update()
            ).all()
            if any(row.version == version and (row.last_ds is None or row.first_ds == first_ds) for row in begun):
                return
            later = next((row for row in begun if row.first_ds > first_ds), None)
            if later:
                raise ValueError(f"{model} v{later.version} is live from {later.first_ds}, after {first_ds}")
            connection.execute(
                update(live_intervals)
                .where(live_intervals.c.model == model, live_intervals.c.last_ds.is_(None))
                .values(last_ds=first_ds - timedelta(days=1))
            )
            connection.execute(
                insert(live_intervals),
                {"model": model, "version": version, "first_ds": first_ds, "last_ds": None, "recorded_at": now()},
            )

    def decide(self, decision: Decision) -> None:
        with self._store.begin() as connection:
            connection.execute(insert(decisions), {**vars(decision), "recorded_at": now()})

    def decisions(self, model: str, action: str | None = None) -> list[Decision]:
        """The audit log of a model, oldest first."""
        columns = [decisions.c[name] for name in Decision.__dataclass_fields__]
        query = select(*columns).where(decisions.c.model == model).order_by(decisions.c.id)
        if action:
            query = query.where(decisions.c.action == action)
        with self._store.read() as connection:
            return [Decision(**row) for row in connection.execute(query).mappings()]


def _not_empty() -> ColumnElement[bool]:
    return or_(live_intervals.c.last_ds.is_(None), live_intervals.c.last_ds >= live_intervals.c.first_ds)

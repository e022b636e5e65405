"""Which published partitions were exported, where to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import insert, select

from include.mlops.ledger.store import Store, now
from include.mlops.ledger.tables import exports


@dataclass(frozen=True)
class Export:
    """One partition of a model's predictions as `target` holds it. `snapshot_id` is that of its publication."""

    model: str
    ds: date
    target: str
    form: str
    rows: int
    snapshot_id: int | None
    run_id: str


_COLUMNS = [exports.c[name] for name in Export.__dataclass_fields__]


class Exports:
    """The record of what was exported; the newest row of a partition and target counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, export: Export) -> None:
        with self._store.begin() as connection:
            connection.execute(insert(exports), {**vars(export), "recorded_at": now()})

    def last(self, model: str, ds: date, target: str) -> Export | None:
        query = select(*_COLUMNS).where(exports.c.model == model, exports.c.ds == ds, exports.c.target == target)
        with self._store.read() as connection:
            row = connection.execute(query.order_by(exports.c.id.desc()).limit(1)).mappings().first()
        return Export(**row) if row else None

"""Metrics and verdicts, by model and data date. A step run again replaces what it recorded for its partition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import delete, insert, select

from include.mlops.ledger.store import Store, now
from include.mlops.ledger.tables import metrics, verdicts


@dataclass(frozen=True)
class Verdict:
    """`bad` is this night's finding, `confirmed` holds once it persisted, `since` the first of the bad nights."""

    model: str
    ds: date
    kind: str
    bad: bool
    confirmed: bool
    run_id: str
    version: int | None = None
    since: date | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    report: str | None = None


class Monitoring:
    def __init__(self, store: Store) -> None:
        self._store = store

    def record(
        self, model: str, ds: date, kind: str, values: Mapping[str, float | None], version: int, run_id: str
    ) -> None:
        """Replace the metrics of `kind` for that partition; one that has no finite value is kept as None."""
        common = {"model": model, "ds": ds, "kind": kind, "version": version, "run_id": run_id, "recorded_at": now()}
        with self._store.begin() as connection:
            connection.execute(
                delete(metrics).where(metrics.c.model == model, metrics.c.ds == ds, metrics.c.kind == kind)
            )
            if values:
                rows = [{**common, "name": name, "value": _finite(value)} for name, value in values.items()]
                connection.execute(insert(metrics), rows)

    def metrics(self, model: str, kind: str) -> dict[date, dict[str, float | None]]:
        """{ds: {name: value}}, by date."""
        query = select(metrics.c.ds, metrics.c.name, metrics.c.value).where(
            metrics.c.model == model, metrics.c.kind == kind
        )
        found: dict[date, dict[str, float | None]] = {}
        with self._store.read() as connection:
            for ds, name, value in connection.execute(query.order_by(metrics.c.ds, metrics.c.id)):
                found.setdefault(ds, {})[name] = value
        return found

    def judge(self, verdict: Verdict) -> None:
        """Replace the verdict of that kind for that partition."""
        with self._store.begin() as connection:
            connection.execute(
                delete(verdicts).where(
                    verdicts.c.model == verdict.model, verdicts.c.ds == verdict.ds, verdicts.c.kind == verdict.kind
                )
            )
            connection.execute(insert(verdicts), {**vars(verdict), "recorded_at": now()})

    def verdicts(self, model: str, kind: str, until: date | None = None) -> list[Verdict]:
        """Verdicts up to and including `until`, by date."""
        columns = [verdicts.c[name] for name in Verdict.__dataclass_fields__]
        query = select(*columns).where(verdicts.c.model == model, verdicts.c.kind == kind)
        if until:
            query = query.where(verdicts.c.ds <= until)
        with self._store.read() as connection:
            return [Verdict(**row) for row in connection.execute(query.order_by(verdicts.c.ds)).mappings()]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None

"""Which partitions are published, of which rows, made from what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from include.mlops.ledger.examples import EXAMPLES, without_examples
from include.mlops.ledger.store import Store, now
from include.mlops.ledger.tables import meanings, publications, validations
from include.mlops.spec.interval import Interval


@dataclass(frozen=True)
class Publication:
    """One partition of a dataset as it became visible.

    `meaning` is the hash of the code and spec that made it, `digest` that of its rows (None: not kept at the time).
    `inputs` names what this partition was made from: `{"file": {"path":, "size":, "modified":, "sha256":}}` and, for
    each table read, `{table: {"snapshot_id":, "lag":, "partitions": {ds: digest}, "missing": [ds]}}`.
    """

    dataset: str
    ds: date
    rows: int
    meaning: str
    run_id: str
    snapshot_id: int | None = None
    quarantined: int = 0
    inputs: dict[str, Any] = field(default_factory=dict)
    version: int | None = None
    in_sample: bool = False
    digest: str | None = None


@dataclass(frozen=True)
class Validation:
    """One expectation's result on one partition."""

    dataset: str
    ds: date
    run_id: str
    expectation: str
    target: str
    severity: str
    success: bool
    observed: str


Replaced = Callable[[Publication, Publication], bool]
RECORD_LOCK = 7_265_003  # any number that no other application of that Postgres database locks
_COLUMNS = [publications.c[name] for name in Publication.__dataclass_fields__]


class Publications:
    """The record of what was published; the newest row of a partition counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, rows: Iterable[Publication], *, replaced: Replaced | None = None) -> set[date]:
        """The days recorded: not those whose record, looked at in the same transaction, says `replaced(known, new)`."""
        wanted = list(rows)
        if not wanted:
            return set()
        with self._store.begin() as connection:
            if replaced:
                if connection.dialect.name == "postgresql":  # sqlite has one writer at a time anyhow
                    connection.execute(select(func.pg_advisory_xact_lock(RECORD_LOCK)))
                known = {(one.dataset, one.ds): one for one in self._current(connection, wanted)}
                wanted = [
                    new for new in wanted if not ((one := known.get((new.dataset, new.ds))) and replaced(one, new))
                ]
            if wanted:
                connection.execute(insert(publications), [{**vars(row), "recorded_at": now()} for row in wanted])
        return {row.ds for row in wanted}

    @staticmethod
    def _current(connection: Connection, like: list[Publication]) -> list[Publication]:
        datasets, days = {one.dataset for one in like}, [one.ds for one in like]
        newest = (
            select(func.max(publications.c.id))
            .where(publications.c.dataset.in_(datasets), publications.c.ds.between(min(days), max(days)))
            .group_by(publications.c.dataset, publications.c.ds)
        )
        rows = connection.execute(select(*_COLUMNS).where(publications.c.id.in_(newest))).mappings()
        return [Publication(**row) for row in rows]

    def over(self, dataset: str, interval: Interval) -> dict[date, Publication]:
        """The current publication of each published day of `interval`."""
        newest = (
            select(func.max(publications.c.id))
            .where(publications.c.dataset == dataset, publications.c.ds.between(interval.first, interval.last))
            .group_by(publications.c.ds)
        )
        with self._store.read() as connection:
            rows = connection.execute(select(*_COLUMNS).where(publications.c.id.in_(newest))).mappings()
            return {row["ds"]: Publication(**row) for row in rows}

    def history(self, dataset: str, ds: date) -> list[tuple[datetime, Publication]]:
        """Each time that this partition was published, oldest first."""
        query = (
            select(publications.c.recorded_at, *_COLUMNS)
            .where(publications.c.dataset == dataset, publications.c.ds == ds)
            .order_by(publications.c.id)
        )
        with self._store.read() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [(row.pop("recorded_at"), Publication(**row)) for row in rows]

    def missing(self, dataset: str, interval: Interval) -> list[date]:
        present = self.over(dataset, interval)
        return [ds for ds in interval if ds not in present]

    def frontier(self, dataset: str) -> date | None:
        """The newest published day."""
        with self._store.read() as connection:
            return connection.execute(
                select(func.max(publications.c.ds)).where(publications.c.dataset == dataset)
            ).scalar()

    def datasets(self) -> list[str]:
        """All that have a published partition."""
        with self._store.read() as connection:
            query = select(publications.c.dataset).distinct().order_by(publications.c.dataset)
            return list(connection.execute(query).scalars())

    def extent(self, dataset: str) -> Interval | None:
        """From the oldest published day to the newest; None where there is none."""
        query = select(func.min(publications.c.ds), func.max(publications.c.ds))
        with self._store.read() as connection:
            first, last = connection.execute(query.where(publications.c.dataset == dataset)).one()
            return Interval(first, last) if first else None

    def last_without(self, dataset: str, expectation: str, target: str, before: date) -> date | None:
        """The newest partition before that day whose publication did not fail this expectation."""
        failed = select(validations.c.id).where(
            validations.c.dataset == dataset,
            validations.c.ds == publications.c.ds,
            validations.c.run_id == publications.c.run_id,
            validations.c.expectation == expectation,
            validations.c.target == target,
            validations.c.success.is_(False),
        )
        newest = select(func.max(publications.c.ds)).where(
            publications.c.dataset == dataset, publications.c.ds < before, ~failed.exists()
        )
        with self._store.read() as connection:
            return connection.execute(newest).scalar()

    def meaning(self, dataset: str) -> str | None:
        """The meaning that this dataset was last declared to have."""
        query = select(meanings.c.meaning).where(meanings.c.dataset == dataset).order_by(meanings.c.id.desc()).limit(1)
        with self._store.read() as connection:
            return connection.execute(query).scalar()

    def declare(self, dataset: str, meaning: str, reason: str) -> None:
        with self._store.begin() as connection:
            connection.execute(
                insert(meanings), {"dataset": dataset, "meaning": meaning, "reason": reason, "recorded_at": now()}
            )

    def record_validations(self, results: Iterable[Validation]) -> None:
        values = [{**vars(result), "recorded_at": now()} for result in results]
        if values:
            with self._store.begin() as connection:
                connection.execute(insert(validations), values)

    def days_with_examples(self, dataset: str, values: Collection[str]) -> set[date]:
        """Days, published or refused, whose results show one of `values` as an example."""
        with self._store.read() as connection:
            return {ds for _, ds, _ in _with_examples(connection, dataset, values)}

    def forget_examples(self, dataset: str, values: Collection[str]) -> int:
        """Take the examples out of what expectations observed on any day, where they hold one of `values`.

        Returns how many results that were.
        """
        with self._store.begin() as connection:
            found = list(_with_examples(connection, dataset, values))
            for number, _, observed in found:
                connection.execute(update(validations).where(validations.c.id == number).values(observed=observed))
        return len(found)

    def validations(self, dataset: str, ds: date) -> list[Validation]:
        """Results kept for a partition, oldest first."""
        columns = [validations.c[name] for name in Validation.__dataclass_fields__]
        query = (
            select(*columns).where(validations.c.dataset == dataset, validations.c.ds == ds).order_by(validations.c.id)
        )
        with self._store.read() as connection:
            return [Validation(**row) for row in connection.execute(query).mappings()]


def _with_examples(connection: Connection, dataset: str, values: Collection[str]) -> Iterator[tuple[int, date, str]]:
    """(id, day, what is left of the text) of the results that show one of `values`."""
    query = select(validations.c.id, validations.c.ds, validations.c.observed).where(
        validations.c.dataset == dataset, validations.c.observed.contains(EXAMPLES)
    )
    for number, ds, observed in connection.execute(query).all():
        if (left := without_examples(observed, values)) != observed:
            yield number, ds, left

"""Export: published scores as files or rows elsewhere, a day at a time. They stay published whatever comes of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from include.mlops.errors import ExportFailed, MlopsError, ServiceUnavailable
from include.mlops.exports.database import DayRows
from include.mlops.exports.files import DayFiles, address
from include.mlops.ledger.exports import Export as Record
from include.mlops.settings import Settings, export_connection
from include.mlops.spec.export import ALWAYS, Export
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """Rows written, by target and day; a day that its target held already is not among them."""

    model: str
    rows: dict[str, dict[date, int]]


def export(platform: Platform, model: Model, interval: Interval, run_id: str, *, force: bool = False) -> Exported:
    """Write the published days of `interval` to each export of the model, each day as a whole.

    A day that its target holds as it is published is left alone, unless `force`. An export that fails stops there, and
    the others go on. Then raises ServiceUnavailable where trying again can help one of them, and else ExportFailed.
    """
    published = sorted(platform.ledger.publications.over(model.predictions, interval))
    rows: dict[str, dict[date, int]] = {}
    failures: dict[str, MlopsError] = {}
    for asked in model.exports:
        at = f"{asked.kind} {asked.place}"
        try:
            one = _One(platform, model, asked, run_id)
            written = rows.setdefault(one.target, {})
            for ds in published:
                at = f"{asked.kind} {asked.place}, {ds}"
                written |= one.day(ds, force=force)
        except MlopsError as error:
            failures[at] = error
    if failures:
        raise _together(model, interval, failures)
    log.info("exported %s %s: %s", model.name, interval, {target: sum(days.values()) for target, days in rows.items()})
    return Exported(model.name, rows)


def _together(model: Model, interval: Interval, failures: Mapping[str, MlopsError]) -> MlopsError:
    kind = ServiceUnavailable if any(error.transient for error in failures.values()) else ExportFailed
    lines = "\n".join(f"  {at}: {error.line()}" for at, error in failures.items())
    return kind(
        f"export {model.name} {interval}: {len(failures)} of {len(model.exports)} exports failed; the scores stay "
        f"published, and what other exports wrote stays too. Once this is mended, clear the task\n{lines}"
    )


class _One:
    """One export of a model."""

    def __init__(self, platform: Platform, model: Model, asked: Export, run_id: str) -> None:
        self._platform, self._model, self._run_id = platform, model, run_id
        self._keys = platform.specs.group(model.features.group).keys
        self._place = _place(platform.settings, asked)
        self._columns = self._chosen(asked)

    @property
    def target(self) -> str:
        return self._place.target

    def day(self, ds: date, *, force: bool) -> dict[date, int]:
        """Write one day, unless the target holds what is published. Returns its rows where it was written.

        Looks again after writing: another run may have published and exported newer scores meanwhile, and these would
        stand over them.
        """
        held = None if force else self._held(ds)
        written: dict[date, int] = {}
        while (snapshot := self._published(ds)) != held:
            rows = self._platform.lake.read(self._model.predictions, Interval.day(ds), self._columns)
            self._place.replace(ds, rows, self._keys)
            self._record(ds, rows.num_rows, snapshot)
            held, written = snapshot, {ds: rows.num_rows}
        return written

    def _published(self, ds: date) -> int | None:
        return self._platform.ledger.publications.over(self._model.predictions, Interval.day(ds))[ds].snapshot_id

    def _held(self, ds: date) -> int | None:
        """The snapshot whose rows the target holds for that day, in today's columns."""
        last = self._platform.ledger.exports.last(self._model.name, ds, self.target)
        return last.snapshot_id if last and last.form == self._form else None

    def _record(self, ds: date, rows: int, snapshot: int | None) -> None:
        self._platform.ledger.exports.record(
            Record(self._model.name, ds, self.target, self._form, rows, snapshot, self._run_id)
        )

    @cached_property
    def _form(self) -> str:
        return hashlib.sha256(",".join(self._columns).encode()).hexdigest()[:16]

    def _chosen(self, asked: Export) -> list[str]:
        """The columns asked for, and those that each row needs. Raises ExportFailed where one is not published."""
        published = self._platform.lake.columns(self._model.predictions)
        needed = (*ALWAYS, *self._keys) if asked.jdbc else ALWAYS
        chosen = list(dict.fromkeys([*asked.columns, *needed])) if asked.columns else published
        if lost := [column for column in chosen if column not in published]:
            raise ExportFailed(
                f"expected the columns {', '.join(lost)} in {self._model.predictions}, found {', '.join(published)}; "
                "correct exports in the model's file"
            )
        return chosen


def _place(settings: Settings, asked: Export) -> DayFiles | DayRows:
    """Raises SettingsError where its address is missing or unusable."""
    if asked.jdbc:
        return DayRows(asked.jdbc.connection, export_connection(asked.jdbc.connection), asked.jdbc.table)
    if asked.parquet:
        return DayFiles("parquet", address(settings, asked.parquet.path))
    assert asked.csv is not None
    return DayFiles("csv", address(settings, asked.csv.path))

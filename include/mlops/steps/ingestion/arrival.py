"""Arrival: what came of the days of an interval, which of them can be used, and what has changed in the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.errors import BrokenSource, MlopsError, SchemaChanged, UnreadableFile
from include.mlops.ledger.publications import Validation
from include.mlops.sources.drift import Change, advice, changes, retyped
from include.mlops.sources.source import Look, Raw, Source
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.ingestion.quarantine import over_limit, set_aside
from include.mlops.steps.ingestion.source_rows import MISFIT, REASON, source_rows
from include.mlops.steps.platform import Platform

Changes = Mapping[date, list[Change]]
Reasons = dict[date, Counter[str | None]]
_EXPECTATIONS = {
    "added": "expect_source_column_to_be_declared",
    "lost": "expect_source_column_to_exist",
    "retyped": "expect_source_column_to_be_of_type",
}


@dataclass(frozen=True)
class Seen:
    """Days before their rows are read: those that can be, what changed in each, and what is wrong with the others."""

    source: Source
    looks: dict[date, Look]
    changes: dict[date, list[Change]]
    failures: dict[date, str]


@dataclass(frozen=True)
class Arrived:
    """Rows of the days with REASON and the rest of `source_rows`; of the days in `failures` nothing may be used."""

    rows: DataFrame
    quarantined: dict[date, int]
    changes: Changes
    failures: dict[date, str]


def look_at(platform: Platform, group: FeatureGroup, days: Iterable[date]) -> Seen:
    """Ask the source about each day; rows are not read yet."""
    seen = Seen(platform.source(group), {}, {}, {})
    for ds in days:
        try:
            look = seen.source.look(ds)
        except BrokenSource as error:
            seen.failures[ds] = error.line()
            continue
        seen.changes[ds] = changes(group, look)
        if failure := failing(platform, group, seen, ds):
            seen.failures[ds] = failure
        else:
            seen.looks[ds] = look
    return seen


def arrive(platform: Platform, group: FeatureGroup, seen: Seen, run_id: str) -> Arrived:
    """Read the days that can be read, set malformed rows aside, and judge each day by what is left of it."""
    days = list(seen.looks)
    rows, reasons = with_reasons(group, seen, seen.source.read(platform.spark, seen.looks))
    bad = malformed(reasons)
    set_aside(platform.lake, group, rows, days, run_id, any_now=any(bad.values()))
    failures = {ds: failing(platform, group, seen, ds) or _short(group, seen, ds, reasons[ds], bad[ds]) for ds in days}
    return Arrived(
        rows,
        {ds: bad[ds].total() for ds in days},
        seen.changes,
        {ds: failure for ds, failure in failures.items() if failure},
    )


def with_reasons(group: FeatureGroup, seen: Seen, raw: Sequence[Raw]) -> tuple[DataFrame, Reasons]:
    """The rows as `source_rows` gives them, and how many of each day have which reason (None: usable).

    What only the values tell of the source's columns is added to `seen`.
    """
    days = list(seen.looks)
    emptied: dict[str, set[date]] = {}
    _add_emptied(emptied, seen.changes)
    rows = source_rows(group, raw, emptied)
    reasons = _reasons(group, rows, days)
    found = _misfits(group, rows, reasons)
    if _add_emptied(emptied, found):
        rows = source_rows(group, raw, emptied)
        reasons = _reasons(group, rows, days)
    for ds, more in found.items():
        seen.changes[ds].extend(change for change in more if change not in seen.changes[ds])
    return rows, reasons


def malformed(reasons: Reasons) -> dict[date, Counter[str]]:
    """How many rows of each day cannot be used, by reason."""
    return {ds: Counter({reason: n for reason, n in counts.items() if reason}) for ds, counts in reasons.items()}


def drift_record(platform: Platform, group: FeatureGroup, seen: Seen, run_id: str) -> tuple[Validation, ...]:
    """The changes of each day as expectations that were not met, for the validation report and the ledger."""
    return tuple(
        Validation(
            dataset=group.table,
            ds=ds,
            run_id=run_id,
            expectation=_EXPECTATIONS[change.kind],
            target=change.column,
            severity="critical" if change.fails else "warning",
            success=False,
            observed=f"{change.found} in {seen.source.place(ds)}, {_since(platform, group, seen, ds, change)}; "
            f"{advice([change])}"[:500],
        )
        for ds, found in seen.changes.items()
        for change in found
    )


def failing(platform: Platform, group: FeatureGroup, seen: Seen, ds: date) -> str | None:
    """What fails a day for its columns."""
    found = [change for change in seen.changes[ds] if change.fails]
    if not found:
        return None
    told = "; ".join(f"{change} ({_since(platform, group, seen, ds, change)})" for change in found)
    return SchemaChanged(f"{seen.source.place(ds)}: {told}; {advice(found)}, or change source.columns").line()


def _since(platform: Platform, group: FeatureGroup, seen: Seen, ds: date, change: Change) -> str:
    """The last day before without that change: of this interval, or published."""
    apart = (change.kind, change.column)
    here = [day for day, found in seen.changes.items() if day < ds and apart not in [(c.kind, c.column) for c in found]]
    expectation = _EXPECTATIONS[change.kind]
    published = platform.ledger.publications.last_without(group.table, expectation, change.column, ds)
    last = max([*here, *([published] if published else [])], default=None)
    return f"not so on {last}" if last else "so in every partition so far"


def _add_emptied(emptied: dict[str, set[date]], found: Changes) -> bool:
    """Whether there were some to add."""
    more = [(change.column, ds) for ds, some in found.items() for change in some if change.empties]
    for column, ds in more:
        emptied.setdefault(column, set()).add(ds)
    return bool(more)


def _reasons(group: FeatureGroup, rows: DataFrame, days: list[date]) -> Reasons:
    """How many rows of each day have which reason."""
    found: Reasons = {ds: Counter() for ds in days}
    for row in rows.groupBy("ds", REASON).count().collect():
        if row["ds"] not in found:
            raise MlopsError(
                f"expected rows of the days asked for from the source of {group.name}, "
                f"found {row['count']} of {row['ds']}"
            )
        found[row["ds"]][row[REASON]] = row["count"]
    return found


def _misfits(group: FeatureGroup, rows: DataFrame, reasons: Reasons) -> dict[date, list[Change]]:
    """Columns of which most values are not of the declared type: that is no matter of single rows."""
    suspect = [ds for ds, counts in reasons.items() if any(r and " is not of type " in r for r in counts)]
    if not suspect:
        return {}
    columns = [name for name, kind in group.source.columns.items() if kind != "string" and name != "ds"]
    told = [(F.count(name), F.count(MISFIT + name), F.max(MISFIT + name)) for name in columns]
    numbered = [told.alias(f"{n}_{part}") for n, three in enumerate(told) for part, told in enumerate(three)]
    found: dict[date, list[Change]] = {}
    for row in rows.where(F.col("ds").isin([F.lit(ds) for ds in suspect])).groupBy("ds").agg(*numbered).collect():
        for number, name in enumerate(columns):
            fitting, misfits, such = (row[f"{number}_{part}"] for part in range(3))
            if misfits > fitting:
                told_of = f"{misfits} of {fitting + misfits} values otherwise, such as '{such[:40]}'"
                found.setdefault(row["ds"], []).append(retyped(group, name, told_of))
    return found


def _short(
    group: FeatureGroup, seen: Seen, ds: date, counts: Counter[str | None], bad: Mapping[str, int]
) -> str | None:
    total, promised, place = counts.total(), seen.looks[ds].rows, seen.source.place(ds)
    if total < promised:
        error = f"expected {promised} rows or more in {place}, Spark could read {total}; land it again"
        return UnreadableFile(error).line()
    limit = over_limit(group, place, total, bad)
    return limit.line() if limit else None

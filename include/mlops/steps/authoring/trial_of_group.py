"""A trial of a feature group: rows of one day through its source, its transform and its expectations.

They are drawn by the hash of their keys, so that rows that repeat a key stay together and each run draws the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
from pyspark.sql import functions as F

from include.mlops.errors import NotReady
from include.mlops.ledger.publications import Validation
from include.mlops.sources.source import CORRUPT, Raw, Source
from include.mlops.spec.feature_group import Expectation, FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.authoring.trial import Trial, facts_of, notes_on
from include.mlops.steps.expectations.judge import Judge
from include.mlops.steps.ingestion.arrival import Seen, drift_record, failing, look_at, malformed, with_reasons
from include.mlops.steps.ingestion.transform_inputs import usable, views
from include.mlops.steps.ingestion.transformed import transformed
from include.mlops.steps.inputs.readiness import missing_inputs
from include.mlops.steps.platform import Platform
from include.mlops.steps.spark_failures import spark_failures

GAP = 31
"""Days without rows after which the search for the newest day ends."""
_OF_A_WHOLE_DAY = (
    "table_row_count",
    "unique_value_count",
    "distinct_values_to_contain",
    "distinct_values_to_equal",
    "sum",
)


def try_group(platform: Platform, group: FeatureGroup, ds: date | None, rows: int) -> Trial:
    """Try at most `rows` rows of `ds`, by default of the newest day that has arrived.

    Raises NotReady where none has, SpecError for a transform that fails, and ServiceUnavailable.
    """
    ds = ds or _newest(platform, group)
    seen = look_at(platform, group, [ds])
    if ds in seen.failures:
        return Trial(group.name, {"day": str(ds)}, wrong=(seen.failures[ds],))
    spark = platform.spark
    with spark_failures(f"reading the source of {group.name} {ds}", f"look at source in {group.folder}"):
        spark.conf.set("spark.sql.session.timeZone", group.timezone)
        raw = seen.source.read(spark, seen.looks)
        of = sum(part.rows.count() for part in raw)
        came, reasons = with_reasons(group, seen, [_sample(group, part, rows) for part in raw])
    drawn, bad = reasons[ds].total(), malformed(reasons)[ds]
    facts = {"day": str(ds), "rows": str(of) + (f", of which {drawn} are tried" if drawn < of else "")}
    facts |= {"malformed": ", ".join(f"{n} x {reason}" for reason, n in bad.most_common()) or "none"}
    wrong = [*_failing(platform, group, seen, ds), *_over_limit(group, bad, drawn)]
    notes = [f"{one.target}: {one.observed}" for one in drift_record(platform, group, seen, "trial") if not _stops(one)]
    lacking = missing_inputs(platform, group, Interval.day(ds))
    if lacking:
        notes.append(f"made without {len(lacking)} partition(s) that it reads, such as {lacking[-1]}")
    with spark_failures(f"trying {group.name} {ds}", f"look at {group.folder}/transform.py"):
        reads, _ = views(platform, spark, group, Interval.day(ds), [ds])
        made = _in_utc(transformed(group, usable(came, group, [ds]), reads).toArrow())
    facts["published"] = f"{made.num_rows} rows"
    unmet, unjudged = _judged(group, made, ds, sampled=drawn < of)
    wrong += [_told(one) for one in unmet if _stops(one)]
    notes += [_told(one) for one in unmet if not _stops(one)]
    if unjudged:
        notes.append(f"not judged on a part of a day: {', '.join(one.name for one in unjudged)}")
    columns = facts_of(made.select(list(group.publishes)), group.publishes)
    return Trial(group.name, facts, columns, (*notes, *notes_on(columns, made.num_rows)), tuple(wrong))


def _newest(platform: Platform, group: FeatureGroup) -> date:
    """From the newest published day on, else the first night's, else the first, until GAP days in a row are missing."""
    source = platform.source(group)
    night = group.schedule.start - timedelta(days=group.schedule.delay)
    starts = [platform.ledger.publications.frontier(group.table), night, group.first_partition]
    for start in dict.fromkeys(ds for ds in starts if ds):
        if found := _newest_from(source, start):
            return found
    raise NotReady(f"a trial of {group.name}", [f"{source.missing(night)}; name another day with --day"])


def _newest_from(source: Source, ds: date) -> date | None:
    found, empty = None, 0
    while empty < GAP:
        if source.missing(ds):
            empty += 1
        else:
            found, empty = ds, 0
        ds += timedelta(days=1)
    return found


def _sample(group: FeatureGroup, raw: Raw, rows: int) -> Raw:
    keys = [name for name in group.keys if name in raw.columns]
    return replace(raw, rows=raw.rows.orderBy(F.xxhash64(*keys, CORRUPT)).limit(rows))


def _failing(platform: Platform, group: FeatureGroup, seen: Seen, ds: date) -> list[str]:
    found = failing(platform, group, seen, ds)
    return [found] if found else []


def _over_limit(group: FeatureGroup, bad: Counter[str], drawn: int) -> list[str]:
    if bad.total() <= group.quarantine.limit * drawn:
        return []
    return [f"expected at most {group.quarantine.limit:.1%} malformed rows, found {bad.total()} of {drawn}"]


def _judged(
    group: FeatureGroup, made: pa.Table, ds: date, *, sampled: bool
) -> tuple[list[Validation], Sequence[Expectation]]:
    """The expectations that are not met, and those that a sample cannot tell of."""
    unjudged = [e for e in group.expectations if sampled and any(part in e.name for part in _OF_A_WHOLE_DAY)]
    rest = group.model_copy(update={"expectations": tuple(e for e in group.expectations if e not in unjudged)})
    results = Judge(rest)(lambda columns: made.select(list(columns)) if columns else made, made.num_rows, ds, "trial")
    return [one for one in results if not one.success], unjudged


def _in_utc(table: pa.Table) -> pa.Table:
    """As the lake holds moments."""
    utc = pa.timestamp("us", tz="UTC")
    kinds = [field.with_type(utc) if pa.types.is_timestamp(field.type) else field for field in table.schema]
    return table.cast(pa.schema(kinds))


def _stops(one: Validation) -> bool:
    return one.severity == "critical"


def _told(one: Validation) -> str:
    return f"{one.severity}: {one.expectation} ({one.target}) is not met, found {one.observed}"

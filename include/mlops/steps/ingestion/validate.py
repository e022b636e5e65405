"""Validate: each staged partition is judged by its expectations before anybody may read it.

The staged snapshot is read in process, a partition and some of its columns at a time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from include.mlops.alerts.alert import Alert
from include.mlops.errors import ValidationFailed
from include.mlops.lake.digest import digest
from include.mlops.lake.staging import staged_batches, staged_day
from include.mlops.ledger.publications import Validation
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.expectations.judge import Judge
from include.mlops.steps.ingestion.ingest import Ingested
from include.mlops.steps.platform import Platform
from include.mlops.steps.report import write_report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validated:
    """Days that may be published, those that may not, and the page that shows why."""

    passed: tuple[date, ...]
    failures: dict[date, str]
    warnings: int
    report: str
    digests: dict[date, str] = field(default_factory=dict)
    """Of the rows of each staged day."""


def validate(platform: Platform, group: FeatureGroup, ingested: Ingested) -> Validated:
    """Run every expectation on every staged partition and keep the results. Raises SpecError for unusable arguments."""
    rows = ingested.rows()
    interval = Interval(min([*rows, *ingested.failures]), max([*rows, *ingested.failures]))
    results = list(ingested.drift)
    digests: dict[date, str] = {}
    if ingested.staged:
        judge = Judge(group)
        for ds in sorted(rows):
            read = partial(staged_day, platform.lake, ingested.staged, ds)
            results += judge(read, rows[ds], ds, ingested.run_id)
            digests[ds] = digest(staged_batches(platform.lake, ingested.staged, ds))
    platform.ledger.publications.record_validations(results)
    report = write_report(
        platform.settings,
        "validation.html",
        f"validation/{group.name}/{str(interval).replace('..', '_')}.html",
        group=group,
        interval=interval,
        rows=rows,
        quarantined=ingested.quarantined,
        ingest_failures=ingested.failures,
        results=results,
    )
    failures = dict(ingested.failures)
    for ds in rows:
        broken = [r for r in results if r.ds == ds and r.severity == "critical" and not r.success]
        if broken:
            found = "; ".join(f"expected {_words(r)}, found {r.observed}" for r in broken[:3])
            failures[ds] = ValidationFailed(f"{found}; see {platform.report_url(report)}").line()
    warnings = [r for r in results if r.severity == "warning" and not r.success]
    passed = tuple(sorted(set(rows) - set(failures)))
    if interval.last in passed and platform.at_frontier(group.table, interval.last):
        _tell_warnings(platform, group, [w for w in warnings if w.ds == interval.last], report)
    counts = len(passed), len(failures), len(warnings)
    log.info("validated %s %s: %d passed, %d failed, %d warnings", group.name, interval, *counts)
    return Validated(passed, failures, len(warnings), report, digests)


def _words(result: Validation) -> str:
    return f"{result.expectation.removeprefix('expect_').replace('_', ' ')} ({result.target})"


def _tell_warnings(platform: Platform, group: FeatureGroup, warnings: list[Validation], report: str) -> None:
    if not warnings:
        return
    platform.alerts.send(
        Alert(
            kind="validation",
            subject=group.name,
            ds=warnings[0].ds,
            severity="warning",
            title=f"{group.name}: {len(warnings)} expectation(s) not met",
            summary="The partition is published; look whether the source changed.",
            numbers={_words(w): w.observed for w in warnings[:5]},
            links={"Validation report": platform.report_url(report)},
        )
    )

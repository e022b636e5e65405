"""Validate: Great Expectations judges each staged partition before anybody may read it.

The staged snapshot is read in process, a partition at a time, so memory is bounded by one day.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from include.mlops.alerts.alert import Alert
from include.mlops.errors import SpecError, ValidationFailed
from include.mlops.lake.staging import staged_day
from include.mlops.ledger.publications import Validation
from include.mlops.spec.feature_group import Expectation, FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingest import Ingested
from include.mlops.steps.platform import Platform
from include.mlops.steps.report import write_report

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validated:
    """Days that may be published, those that may not, and the page that shows why."""

    passed: tuple[date, ...]
    failures: dict[date, str]
    warnings: int
    report: str


def validate(platform: Platform, group: FeatureGroup, ingested: Ingested) -> Validated:
    """Run every expectation on every staged partition and keep the results. Raises SpecError for unusable arguments."""
    rows = ingested.rows()
    interval = Interval(min([*rows, *ingested.failures]), max([*rows, *ingested.failures]))
    results = list(ingested.drift)
    if ingested.staged:
        judge = _Judge(group)
        for ds in sorted(rows):
            results += judge(staged_day(platform.lake, ingested.staged, ds).to_pandas(), ds, ingested.run_id)
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
    return Validated(passed, failures, len(warnings), report)


class _Judge:
    """One Great Expectations suite, run against a frame at a time."""

    def __init__(self, group: FeatureGroup) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._group = group
        self._expectations = (*_always(group), *group.expectations)
        asset = context.data_sources.add_pandas("staged").add_dataframe_asset(group.name)
        self._batches = asset.add_batch_definition_whole_dataframe("partition")
        built = [_built(gx, group, expectation, number) for number, expectation in enumerate(self._expectations)]
        self._suite = gx.ExpectationSuite(name=group.name, expectations=built)

    def __call__(self, frame: pd.DataFrame, ds: date, run_id: str) -> list[Validation]:
        found = self._batches.get_batch({"dataframe": frame}).validate(self._suite)
        return [self._kept(result, ds, run_id) for result in found.results]

    def _kept(self, result: Any, ds: date, run_id: str) -> Validation:
        expectation = self._expectations[result.expectation_config.meta["number"]]
        raised = next((e["exception_message"] for e in _exceptions(result.exception_info)), None)
        return Validation(
            dataset=self._group.table,
            ds=ds,
            run_id=run_id,
            expectation=expectation.name,
            target=", ".join(expectation.columns) or "table",
            severity=expectation.severity,
            success=bool(result.success),
            observed=(f"it could not be judged: {raised}" if raised else _observed(result.result))[:500],
        )


def _always(group: FeatureGroup) -> tuple[Expectation, ...]:
    """What holds of every group: keys are there and identify a row."""
    keys = [Expectation(name="expect_column_values_to_not_be_null", arguments={"column": key}) for key in group.keys]
    if len(group.keys) == 1:
        return (*keys, Expectation(name="expect_column_values_to_be_unique", arguments={"column": group.keys[0]}))
    together = {"column_list": list(group.keys)}
    return (*keys, Expectation(name="expect_compound_columns_to_be_unique", arguments=together))


def _built(gx: Any, group: FeatureGroup, expectation: Expectation, number: int) -> Any:
    kind = getattr(gx.expectations, "".join(word.capitalize() for word in expectation.name.split("_")))
    meta = {**(expectation.arguments.get("meta") or {}), "number": number}
    try:
        return kind(**{**expectation.arguments, "severity": expectation.severity, "meta": meta})
    except (ValueError, TypeError) as error:  # what its own model of the arguments raises
        told = " ".join(str(error).split())
        raise SpecError(
            [f"{group.folder}/feature_group.yaml: {expectation.name}: Great Expectations refused its arguments: {told}"]
        ) from error


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    entries = [info] if "raised_exception" in info else [entry for entry in info.values() if isinstance(entry, dict)]
    return [entry for entry in entries if entry.get("raised_exception")]


def _observed(result: dict[str, Any]) -> str:
    if "observed_value" in result:
        return str(result["observed_value"])
    values = ", ".join(str(v) for v in result.get("partial_unexpected_list", [])[:3])
    share = f"{result.get('unexpected_count', 0)} of {result.get('element_count', 0)} rows"
    return f"{share} otherwise, such as {values}" if values else share


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

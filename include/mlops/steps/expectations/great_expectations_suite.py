"""Great Expectations itself, on a pandas frame at a time; imported when it is needed, for that takes seconds."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.mlops.errors import SpecError
from include.mlops.spec.feature_group import Expectation, FeatureGroup
from include.mlops.steps.expectations.arrow_verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd


class GreatExpectationsSuite:
    """Expectations of a group. Raises SpecError for arguments that Great Expectations refuses."""

    def __init__(self, group: FeatureGroup, expectations: Sequence[Expectation]) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("staged").add_dataframe_asset(group.name)
        self._batches = asset.add_batch_definition_whole_dataframe("partition")
        built = [as_built(gx, group, expectation, number) for number, expectation in enumerate(expectations)]
        self._suite = gx.ExpectationSuite(name=group.name, expectations=built)

    def __call__(self, frame: pd.DataFrame) -> list[Verdict]:
        """A verdict on each expectation, in their order."""
        found: list[Any] = self._batches.get_batch({"dataframe": frame}).validate(self._suite).results
        return [as_verdict(one) for one in sorted(found, key=lambda one: one.expectation_config.meta["number"])]


def as_built(gx: Any, group: FeatureGroup, expectation: Expectation, number: int) -> Any:
    """The expectation as Great Expectations' own object, its number in `meta`."""
    kind = getattr(gx.expectations, "".join(word.capitalize() for word in expectation.name.split("_")))
    meta = {**(expectation.arguments.get("meta") or {}), "number": number}
    try:
        return kind(**{**expectation.arguments, "severity": expectation.severity, "meta": meta})
    except (ValueError, TypeError) as error:  # what its own model of the arguments raises
        told = " ".join(str(error).split())
        raise SpecError(
            [f"{group.folder}/feature_group.yaml: {expectation.name}: Great Expectations refused its arguments: {told}"]
        ) from error


def as_verdict(result: Any) -> Verdict:
    """What Great Expectations found; one that raised is not met."""
    raised = next((e["exception_message"] for e in _exceptions(result.exception_info)), None)
    return Verdict(bool(result.success), f"it could not be judged: {raised}" if raised else _observed(result.result))


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    entries = [info] if "raised_exception" in info else [entry for entry in info.values() if isinstance(entry, dict)]
    return [entry for entry in entries if entry.get("raised_exception")]


def _observed(result: dict[str, Any]) -> str:
    if "observed_value" in result:
        return str(result["observed_value"])
    values = ", ".join(str(v) for v in result.get("partial_unexpected_list", [])[:3])
    share = f"{result.get('unexpected_count', 0)} of {result.get('element_count', 0)} rows"
    return f"{share} otherwise, such as {values}" if values else share

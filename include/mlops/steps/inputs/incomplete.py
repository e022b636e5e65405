"""Partitions that were made without some of their inputs: which, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from include.mlops.alerts.alert import Alert
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.platform import Platform

INCOMPLETE = "incomplete"


def made_without(inputs: Mapping[str, Any]) -> list[str]:
    """The partitions that were missing, such as `features.flight_outcomes_v1 of 2013-03-07`."""
    return [f"{table} of {ds}" for table, told in inputs.items() for ds in told.get("missing", ())]


def tell_incomplete(platform: Platform, group: FeatureGroup, ds: date, inputs: Mapping[str, Any]) -> None:
    """A warning where `ds`, just published, is the newest partition and lacks inputs; it is over with one that does
    not.
    """
    if not platform.at_frontier(group.table, ds):
        return
    missing = made_without(inputs)
    if not missing:
        platform.alerts.recover(INCOMPLETE, group.name, ds, f"{ds} was made with all of its inputs.")
        return
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    platform.alerts.send(
        Alert(
            kind=INCOMPLETE,
            subject=group.name,
            ds=ds,
            severity="warning",
            title=f"{group.name} of {ds} was made without {len(missing)} of the partitions that it reads",
            summary=f"Missing at the deadline: {shown}. It is published, and stale once they are there: "
            f"`python -m include.mlops stale {group.name}` tells what to run.",
        )
    )

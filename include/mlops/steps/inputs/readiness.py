"""What a partition still waits for: the day's rows at its source, and the published partitions that it reads."""

from __future__ import annotations

from include.mlops.errors import NotReady
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform


def missing(platform: Platform, group: FeatureGroup, interval: Interval) -> list[str]:
    """Printable names of the files, rows and partitions that are not there yet."""
    return missing_at_source(platform, group, interval) + missing_inputs(platform, group, interval)


def missing_at_source(platform: Platform, group: FeatureGroup, interval: Interval) -> list[str]:
    source = platform.source(group)
    return [found for ds in interval if (found := source.missing(ds))]


def missing_inputs(platform: Platform, group: FeatureGroup, interval: Interval) -> list[str]:
    found = []
    for name in group.reads:
        other = platform.specs.group(name)
        needed = group.needs(interval, other)
        if needed:
            found += [f"{name} of {ds}" for ds in platform.ledger.publications.missing(other.table, needed)]
    return found


def require_inputs(platform: Platform, group: FeatureGroup, interval: Interval) -> None:
    """Raises NotReady where a partition that `interval` reads is not published."""
    lacking = missing_inputs(platform, group, interval)
    if lacking:
        raise NotReady(f"{group.name} {interval}", lacking)

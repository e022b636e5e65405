"""Landings: messages about files that landed become the days whose ingestion starts now."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from include.mlops.policy.alerting import FAILED
from include.mlops.policy.landing import Landed, left_because
from include.mlops.policy.staleness import FILE
from include.mlops.sources.announcements import UnreadableMessage, landed_objects, partition_of
from include.mlops.sources.landing import address, same_file
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval, due
from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Landings:
    """Days to start by feature group, and of all else what was left, with the reason."""

    start: dict[str, list[date]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def landings(platform: Platform, bodies: Iterable[str], now: datetime) -> Landings:
    """What the messages say has landed. A message that cannot be read is logged and left: it holds up no other.

    Raises ServiceUnavailable where the ledger or the landing store does not answer.
    """
    start: dict[str, set[date]] = {}
    left: dict[str, str] = {}
    for url in _objects(bodies, left):
        found = partition_of(platform.settings, platform.specs.groups.values(), url)
        if found is None:
            left[url] = "no feature group has a file of that name"
        elif reason := left_because(known(platform, *found), now):
            left[url] = reason
        else:
            group, ds = found
            start.setdefault(group.name, set()).add(ds)
    for what, reason in left.items():
        log.info("%s starts nothing: %s", what, reason)
    return Landings({name: sorted(days) for name, days in start.items()}, left)


def known(platform: Platform, group: FeatureGroup, ds: date) -> Landed:
    """What is known of a day whose file landed."""
    schedule, tick = group.schedule, due(ds, group.schedule.delay, group.timezone)
    ticks = ds + timedelta(days=schedule.delay)
    published = platform.ledger.publications.over(group.table, Interval.day(ds)).get(ds)
    file = published.inputs.get(FILE) if published else None
    return Landed(
        ds=ds,
        first=group.first_partition,
        scheduled=schedule.start <= ticks and (schedule.end is None or ticks <= schedule.end),
        due=tick,
        deadline=tick + timedelta(hours=schedule.deadline),
        failed=platform.ledger.incidents.covers(FAILED, group.ingestion, ds),
        published=published is not None,
        same=file is not None and same_file(address(platform.settings, group, ds), file),
    )


def published_from_this_file(platform: Platform, group: FeatureGroup, ds: date) -> bool:
    """Whether there is nothing to do for a day: another message, or the schedule, came first."""
    return left_because(known(platform, group, ds), datetime.max.replace(tzinfo=UTC)) != ""


def _objects(bodies: Iterable[str], left: dict[str, str]) -> list[str]:
    urls: dict[str, None] = {}
    for body in bodies:
        try:
            urls |= dict.fromkeys(landed_objects(body))
        except UnreadableMessage as error:
            log.warning("%s", error)
            left[body[:200]] = "it is no message of S3's"
    return list(urls)

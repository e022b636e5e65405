"""Erase: the rows of one entity leave every table, the training sets that tags hold, and what was kept of them.

The ledger says so before anything is touched, without the key itself. Killed anywhere, it is done again under the same
number and ends the same. Nothing that was made of the rows becomes out of date by it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.mlops.errors import ServiceUnavailable
from include.mlops.lake import erasing
from include.mlops.ledger.erasures import Erasure
from include.mlops.ledger.releases import Decision
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.erasure.artifacts import erase_from_artifacts, forget_shown
from include.mlops.steps.erasure.plan import Planned, matches
from include.mlops.steps.erasure.published import publish_without
from include.mlops.steps.platform import Platform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Erased:
    """`number` is that of the erasure in the ledger; `rows` those that readers saw."""

    number: int
    rows: int
    tables: tuple[str, ...]
    versions: tuple[str, ...]


def erase(
    platform: Platform, group: FeatureGroup, keys: Mapping[str, str], planned: Planned, actor: str, reason: str
) -> Erased:
    """Do what `planned` says of `keys`. Nothing else may write to these tables meanwhile: pause their DAGs.

    Raises ServiceUnavailable where a room does not answer, or rows were written while it ran: do it again.
    """
    number = _begin(platform, group, keys, planned, actor, reason)
    record = _one(platform, number)
    wanted = matches(platform, keys)
    for name in record.tables:
        if name in wanted:
            erasing.erase(platform.lake, name, wanted[name], number)
            log.info("erasure no. %d: %s is done", number, name)
    publish_without(platform, {name: _days(told) for name, told in record.tables.items()})
    for told in record.versions:
        version = platform.registry.version(told["model"], told["version"])
        platform.registry.tag(version, "mlops.erasures", _numbers(platform, told["model"], told["version"]))
    erase_from_artifacts(platform, keys, record.versions)
    forget_shown(platform, keys, {name: _days(told) for name, told in record.tables.items()}, wanted)
    if again := [name for name, match in wanted.items() if erasing.held(platform.lake, name, match)]:
        raise ServiceUnavailable(
            f"erasure no. {number}: rows of that key were written to {', '.join(again)} meanwhile; pause what writes "
            "there and run the same command again"
        )
    _decide(platform, record)
    platform.ledger.erasures.finish(number)
    versions = tuple(f"{told['model']} v{told['version']}" for told in record.versions)
    return Erased(number, record.rows, tuple(record.tables), versions)


def _begin(
    platform: Platform, group: FeatureGroup, keys: Mapping[str, str], planned: Planned, actor: str, reason: str
) -> int:
    tables, versions = planned.record(), [vars(one) for one in planned.versions]
    if planned.unfinished is None:
        return platform.ledger.erasures.begin(group.name, keys, actor, reason, tables, versions)
    before = _one(platform, planned.unfinished)
    known = {(one["model"], one["version"]) for one in before.versions}
    more = [one for one in versions if (one["model"], one["version"]) not in known]
    platform.ledger.erasures.found_more(before.id, _together(before.tables, tables), [*before.versions, *more])
    return before.id


def _together(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What was there when it began, and what was found since; a day that was counted before is not counted again."""
    empty: dict[str, Any] = {"rows": {}, "tags": {}}
    return {
        name: {part: {**now.get(name, empty)[part], **before.get(name, empty)[part]} for part in empty}
        for name in sorted({*before, *now})
    }


def _decide(platform: Platform, record: Erasure) -> None:
    """A row in each concerned model's audit log, once."""
    for told in record.versions:
        evidence = {"erasure": record.id, "rows": told["rows"]}
        known = platform.ledger.releases.decisions(told["model"], "erase")
        if any(one.version == told["version"] and one.evidence.get("erasure") == record.id for one in known):
            continue
        day, why = record.recorded_at.date(), f"erasure no. {record.id}: {record.reason}"
        platform.ledger.releases.decide(
            Decision(told["model"], day, "erase", "erased", record.actor, why, told["version"], evidence)
        )


def _numbers(platform: Platform, model: str, version: int) -> str:
    return ", ".join(str(one.id) for one in platform.ledger.erasures.of_version(model, version))


def _days(told: Mapping[str, Any]) -> list[date]:
    return [date.fromisoformat(ds) for ds in told["rows"]]


def _one(platform: Platform, number: int) -> Erasure:
    return next(one for one in platform.ledger.erasures.all() if one.id == number)

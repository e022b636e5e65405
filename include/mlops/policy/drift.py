"""Drift by effect size, weighed by the features' importance, confirmed by persistence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class ColumnDrift:
    """Distance of one column from its reference; `usual` is what days of the training window stay below."""

    distance: float
    usual: float
    weight: float


@dataclass(frozen=True)
class Night:
    """One night's finding. `weight` is the summed importance of the drifted columns."""

    bad: bool
    weight: float
    drifted: tuple[str, ...]


@dataclass(frozen=True)
class Confirmation:
    confirmed: bool
    since: date | None


def judge_night(columns: Mapping[str, ColumnDrift], threshold: float, share: float) -> Night:
    """A column drifted where its distance exceeds both the threshold and what is usual; the night is bad from `share` on."""
    drifted = [name for name, c in columns.items() if c.distance > max(threshold, c.usual)]
    drifted.sort(key=lambda name: (-columns[name].weight, name))
    weight = sum(columns[name].weight for name in drifted)
    return Night(weight >= share, weight, tuple(drifted))


def confirm(nights: Sequence[tuple[date, bool]], persistence: int, windows: int) -> Confirmation:
    """Whether the newest night is bad and `persistence` of the last `windows` are; `since` is the first of those.

    `nights` are (ds, bad) by date, the newest last.
    """
    recent = list(nights)[-windows:]
    bad = [ds for ds, is_bad in recent if is_bad]
    if not recent or not recent[-1][1] or len(bad) < persistence:
        return Confirmation(False, bad[0] if bad and recent[-1][1] else None)
    since = bad[0]
    for ds, is_bad in reversed(list(nights)[: -len(recent)] if len(nights) > len(recent) else []):
        if not is_bad:
            break
        since = ds
    return Confirmation(True, since)

"""Drift by effect size, weighed by the features' importance, confirmed by persistence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class ColumnDrift:
    """Distance of one column from its reference.

    `usual` is the distance of the training window's furthest day; a column is `lost` where it had values and now has
    none.
    """

    distance: float
    usual: float
    weight: float
    lost: bool = False


@dataclass(frozen=True)
class Night:
    """One night's finding. `weight` is the summed importance of the drifted columns."""

    bad: bool
    weight: float
    drifted: tuple[str, ...]


@dataclass(frozen=True)
class Confirmation:
    """`since` is the first bad night of what is not over yet; None where nothing is."""

    confirmed: bool
    since: date | None


def judge_night(columns: Mapping[str, ColumnDrift], threshold: float, share: float) -> Night:
    """A column drifted where its distance exceeds both the threshold and what is usual; bad is a weight of `share`."""
    drifted = [name for name, c in columns.items() if c.lost or c.distance > max(threshold, c.usual)]
    drifted.sort(key=lambda name: (-columns[name].weight, name))
    weight = sum(columns[name].weight for name in drifted)
    return Night(weight >= share, weight, tuple(drifted))


def confirm(nights: Sequence[tuple[date, bool]], persistence: int, windows: int) -> Confirmation:
    """Whether the newest night is bad and `persistence` of the last `windows` are.

    `nights` are (ds, bad) by date, the newest last; days that were not judged do not count. As many good nights in a
    row as a confirmed window may hold do not end what the bad ones began; one more does.
    """
    recent = [bad for _, bad in nights[-windows:]]
    confirmed = bool(recent) and recent[-1] and sum(recent) >= persistence
    since, good = None, 0
    for ds, bad in reversed(nights):
        since, good = (ds, 0) if bad else (since, good + 1)
        if good > windows - persistence:
            break
    return Confirmation(confirmed, since)

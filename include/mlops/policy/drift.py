"""Drift by effect size, weighed by the features' importance, confirmed by persistence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import log, sqrt


@dataclass(frozen=True)
class ColumnDrift:
    """Distance of one column from its reference; `noise` is what two samples of one distribution would show."""

    distance: float
    noise: float
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


def jensen_shannon_noise(categories: int, reference: int, current: int) -> float:
    """Expected Jensen-Shannon distance (base 2) of two samples of one distribution over `categories` values.

    Twice the sample size times the divergence is asymptotically chi-squared (k - 1 degrees of freedom): Grosse et al.,
    "Analysis of symbolic sequences using the Jensen-Shannon divergence", Phys. Rev. E 65 (2002), eq. 16.
    """
    if min(reference, current) == 0 or categories < 2:
        return 0.0
    total = reference + current
    even = 4 * reference * current / total**2  # equal sizes give 1
    return sqrt((categories - 1) / (2 * log(2) * total * even)) if even else 0.0


def wasserstein_noise(reference: int, current: int) -> float:
    """Order of the normalised Wasserstein distance of two samples of one distribution: that of the mean's error."""
    return sqrt(1 / reference + 1 / current) if min(reference, current) else 0.0


def judge_night(columns: Mapping[str, ColumnDrift], threshold: float, share: float) -> Night:
    """A column drifted where its distance exceeds the threshold and twice its noise; the night is bad from `share` on."""
    drifted = [name for name, c in columns.items() if c.distance > max(threshold, 2 * c.noise)]
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

"""Whether predictions of a partition may be published."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class ScoreSummary:
    """Plain numbers of one partition's predictions."""

    rows: int
    nulls: int
    distinct: int
    minimum: float | None
    maximum: float | None
    mean: float | None


def refusals(
    found: ScoreSummary, expected_rows: int, minimum: float | None, maximum: float | None, min_distinct: int
) -> list[str]:
    """Why the predictions are refused, in words; empty where they may be published."""
    reasons = []
    if found.rows != expected_rows:
        reasons.append(f"expected {expected_rows} rows as published in the features, found {found.rows}")
    if found.nulls:
        reasons.append(f"expected no missing scores, found {found.nulls} of {found.rows}")
    bounds = [bound for bound in (found.minimum, found.maximum) if bound is not None]
    if not all(isfinite(bound) for bound in bounds):
        reasons.append(f"expected finite scores, found {bounds[0]} to {bounds[-1]}")
    if minimum is not None and found.minimum is not None and found.minimum < minimum:
        reasons.append(f"expected scores from {minimum:g} up, found {found.minimum:.6g}")
    if maximum is not None and found.maximum is not None and found.maximum > maximum:
        reasons.append(f"expected scores up to {maximum:g}, found {found.maximum:.6g}")
    if found.rows >= min_distinct and found.distinct < min_distinct:
        reasons.append(f"expected at least {min_distinct} different scores, found {found.distinct}")
    return reasons

"""Whether realised performance fell too far below what the holdout promised."""

from __future__ import annotations


def fell(realised: float, promised: float, drop: float, *, higher_is_better: bool) -> bool:
    """True where `realised` is worse than `promised` by more than `drop`, in the metric's own unit."""
    gap = promised - realised if higher_is_better else realised - promised
    return gap > drop

"""Naming what is allowed, and the nearest to what was found."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_SHOWN = 12


def nearest(found: str, names: Iterable[str]) -> str | None:
    """The name most like `found`, upper and lower case alike; None where none is near."""
    best = max(sorted(names), key=lambda name: _likeness(found, name), default=None)
    return best if best is not None and _likeness(found, best) >= 0.6 else None


def allowed(kind: str, found: str, names: Iterable[str]) -> str:
    """`unknown column 'carier'; did you mean 'carrier'? Allowed: carrier, dest`."""
    return f"unknown {kind} '{found}'{suggestion(found, sorted(names))}"


def suggestion(found: str, names: Iterable[str]) -> str:
    """`; did you mean 'carrier'? Allowed: carrier, dest`, in the order given; of many names the most alike."""
    names = list(names)
    near = nearest(found, names)
    hint = f"; did you mean '{near}'?" if near else "."
    shown = set(sorted(names, key=lambda name: -_likeness(found, name))[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{hint} Allowed: {', '.join(name for name in names if name in shown) or 'none'}{more}"


def _likeness(found: str, name: str) -> float:
    return SequenceMatcher(None, found.casefold(), name.casefold()).ratio()

"""Which cases of a test `make test` runs, and which are left to `make test-all`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def exhaustive(cases: Iterable[Any], *always: int) -> list[Any]:
    """Cases of a parametrisation, where those that are not at the places `always` show the same mechanism once more."""
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    assert set(always) <= set(range(len(values)))
    more = pytest.mark.exhaustive
    return [pytest.param(*one, marks=() if place in always else more) for place, one in enumerate(values)]

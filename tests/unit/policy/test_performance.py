"""Realised performance against what the holdout promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.mlops.policy.performance import fell


@pytest.mark.parametrize(
    ("realised", "promised", "higher_is_better", "bad"),
    [
        (0.62, 0.70, True, True),
        (0.66, 0.70, True, False),
        (0.80, 0.70, True, False),
        (0.30, 0.20, False, True),
        (0.24, 0.20, False, False),
        (0.10, 0.20, False, False),
    ],
)
def test_only_the_worse_side_counts_and_only_beyond_the_drop(
    realised: float, promised: float, *, higher_is_better: bool, bad: bool
) -> None:
    assert fell(realised, promised, 0.05, higher_is_better=higher_is_better) is bad


finite = st.floats(-1e6, 1e6)


@given(finite, finite, st.floats(0.001, 10))
def test_a_metric_and_its_negative_are_judged_the_same(realised: float, promised: float, drop: float) -> None:
    assert fell(realised, promised, drop, higher_is_better=True) == fell(
        -realised, -promised, drop, higher_is_better=False
    )


@given(finite, st.floats(0.001, 10), st.booleans())
def test_what_was_promised_is_never_a_fall(promised: float, drop: float, higher: bool) -> None:
    assert not fell(promised, promised, drop, higher_is_better=higher)

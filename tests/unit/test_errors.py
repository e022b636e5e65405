"""Errors that cross from one process to another."""

from __future__ import annotations

import inspect

import pytest

from include.mlops import errors
from include.mlops.errors import MlopsError, rebuilt

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MlopsError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_is_of_the_same_kind_in_another_process(kind: type[MlopsError]) -> None:
    again = rebuilt(kind.__name__, "expected this, found that")
    assert type(again) is kind
    assert again.line() == f"{kind.__name__}: expected this, found that"


def test_a_kind_that_nobody_knows_here_is_an_error_of_ours() -> None:
    assert type(rebuilt("OfALaterVersion", "x")) is MlopsError

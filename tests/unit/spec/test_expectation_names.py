"""The names and arguments kept here are Great Expectations' own."""

from __future__ import annotations

from include.mlops.spec.expectation_names import ARGUMENTS, EXPECTATIONS


def test_names_and_arguments_equal_the_installed_registry() -> None:
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    common = {*BatchExpectation.__fields__, "library_metadata"}  # what the library itself adds
    installed = {
        name: {
            key + "!" * field.required
            for key, field in get_expectation_impl(name).__fields__.items()
            if key not in common
        }
        for name in list_registered_expectation_implementations()
        if name.startswith("expect_")  # the rest is an expectation in SQL
    }

    assert installed.keys() == EXPECTATIONS
    assert installed == ARGUMENTS

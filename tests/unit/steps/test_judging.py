"""Great Expectations on one frame: what it is asked, and what is made of its answers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.mlops.errors import SpecError
from include.mlops.ledger.publications import Validation
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.validate import _Judge

pytestmark = pytest.mark.slow
DS = date(2013, 3, 1)


def _group(*expectations: dict[str, Any], keys: tuple[str, ...] = ("key",)) -> FeatureGroup:
    columns = {"key": "string", "other": "int", "at": "timestamp"}
    made = FeatureGroup.model_validate(
        {
            "name": "rows",
            "owner": "team",
            "description": "made up",
            "keys": keys,
            "event_time": "at",
            "available_at": "at",
            "source": {"format": "csv", "path": "{ds}.csv", "columns": columns},
            "publishes": {"key": "string", "other": "int"},
            "first_partition": DS,
            "schedule": {"start": DS},
            "expectations": expectations,
        }
    )
    return made.model_copy(update={"folder": Path("/groups/rows")})


def _judged(group: FeatureGroup, frame: pd.DataFrame) -> dict[str, Validation]:
    found = _Judge(group)(frame, DS, "run")
    return {f"{one.expectation.removeprefix('expect_')}: {one.target}": one for one in found}


def test_keys_are_always_checked(caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"key": ["a", "a", None], "other": [1, 2, 3]})
    one = _judged(_group(), frame)
    assert {name: (result.success, result.severity, result.observed) for name, result in one.items()} == {
        "column_values_to_not_be_null: key": (False, "critical", "1 of 3 rows otherwise, such as None"),
        "column_values_to_be_unique: key": (False, "critical", "2 of 3 rows otherwise, such as a, a"),
    }
    two = _judged(_group(keys=("key", "other")), frame.head(2))
    assert two["compound_columns_to_be_unique: key, other"].success


def test_a_frame_without_rows_is_judged(caplog: pytest.LogCaptureFixture) -> None:
    count: dict[str, Any] = {"expect_table_row_count_to_be_between": {"min_value": 1}}
    frame = pd.DataFrame({"key": [], "other": []})
    found = _judged(_group(count), frame)
    assert found["column_values_to_not_be_null: key"].success
    assert (
        found["table_row_count_to_be_between: table"].success,
        found["table_row_count_to_be_between: table"].observed,
    ) == (
        False,
        "0",
    )


def test_one_that_raises_is_not_met_and_the_others_are_judged() -> None:
    broken: dict[str, Any] = {"expect_column_values_to_match_regex": {"column": "key", "regex": "("}}
    pair: dict[str, Any] = {"expect_column_pair_values_to_be_equal": {"column_A": "key", "column_B": "other"}}
    found = _judged(_group(broken, pair), pd.DataFrame({"key": ["a"], "other": [1]}))
    assert not found["column_values_to_match_regex: key"].success
    assert found["column_values_to_match_regex: key"].observed.startswith("it could not be judged: ")
    assert found["column_values_to_not_be_null: key"].success
    assert not found["column_pair_values_to_be_equal: key, other"].success


def test_meta_of_the_user_is_kept_apart() -> None:
    noted: dict[str, Any] = {"expect_column_values_to_not_be_null": {"column": "other", "meta": {"ticket": 7}}}
    assert _judged(_group(noted), pd.DataFrame({"key": ["a"], "other": [1]}))[
        "column_values_to_not_be_null: other"
    ].success


def test_arguments_that_great_expectations_refuses_are_named_with_the_file() -> None:
    wrong: dict[str, Any] = {"expect_column_values_to_not_be_null": {"column": "other", "mostly": 3}}
    with pytest.raises(
        SpecError, match=r"/groups/rows/feature_group.yaml: expect_column_values_to_not_be_null: .*mostly"
    ):
        _Judge(_group(wrong))

"""What a day is asked, who judges it, and what is made of the answers."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.mlops.errors import SpecError
from include.mlops.ledger.publications import Validation
from include.mlops.settings import ROOT
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.expectations import judge
from include.mlops.steps.expectations.judge import Judge

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


def _day(**columns: list[Any]) -> pa.Table:
    types = {"key": pa.string(), "other": pa.int32()}
    return pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})


def _judged(group: FeatureGroup, day: pa.Table) -> dict[str, Validation]:
    found = Judge(group)(lambda columns: day.select(columns) if columns else day, day.num_rows, DS, "run")
    return {f"{one.expectation.removeprefix('expect_')}: {one.target}": one for one in found}


def test_keys_are_always_checked(caplog: pytest.LogCaptureFixture) -> None:
    day = _day(key=["a", "a", None], other=[1, 2, 3])
    one = _judged(_group(), day)
    assert {name: (result.success, result.severity, result.observed) for name, result in one.items()} == {
        "column_values_to_not_be_null: key": (False, "critical", "1 of 3 rows otherwise, such as None"),
        "column_values_to_be_unique: key": (False, "critical", "2 of 3 rows otherwise, such as a, a"),
    }
    two = _judged(_group(keys=("key", "other")), day.slice(0, 2))
    assert two["compound_columns_to_be_unique: key, other"].success


def test_a_day_without_rows_is_judged(caplog: pytest.LogCaptureFixture) -> None:
    count: dict[str, Any] = {"expect_table_row_count_to_be_between": {"min_value": 1}}
    found = _judged(_group(count), _day(key=[], other=[]))
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
    found = _judged(_group(broken, pair), _day(key=["a"], other=[1]))
    assert not found["column_values_to_match_regex: key"].success
    assert found["column_values_to_match_regex: key"].observed.startswith("it could not be judged: ")
    assert found["column_values_to_not_be_null: key"].success
    assert not found["column_pair_values_to_be_equal: key, other"].success


def test_meta_of_the_user_is_kept_apart() -> None:
    noted: dict[str, Any] = {"expect_column_values_to_not_be_null": {"column": "other", "meta": {"ticket": 7}}}
    assert _judged(_group(noted), _day(key=["a"], other=[1]))["column_values_to_not_be_null: other"].success


def test_arguments_that_great_expectations_refuses_are_named_with_the_file() -> None:
    wrong: dict[str, Any] = {"expect_column_values_to_not_be_null": {"column": "other", "mostly": 3}}
    with pytest.raises(
        SpecError, match=r"/groups/rows/feature_group.yaml: expect_column_values_to_not_be_null: .*mostly"
    ):
        Judge(_group(wrong))


UNCOVERED: dict[str, Any] = {"expect_column_values_to_be_increasing": {"column": "other"}}
WHERE: dict[str, Any] = {
    "expect_column_values_to_be_between": {
        "column": "other", "max_value": 1, "row_condition": 'key=="a"', "condition_parser": "pandas"
    }
}  # fmt: skip
COVERED: dict[str, Any] = {"expect_column_values_to_be_between": {"column": "other", "max_value": 2}}


def test_results_come_in_the_order_of_the_specification() -> None:
    found = list(_judged(_group(UNCOVERED, COVERED), _day(key=["a", "b"], other=[1, 3])).values())
    assert [(one.expectation.removeprefix("expect_column_values_to_"), one.success) for one in found] == [
        ("not_be_null", True),
        ("be_unique", True),
        ("be_increasing", True),
        ("be_between", False),
    ]


def test_a_condition_on_another_column_is_left_to_great_expectations_with_all_columns() -> None:
    found = _judged(_group(WHERE), _day(key=["a", "b", "b"], other=[1, 2, 3]))["column_values_to_be_between: other"]
    assert (found.success, found.observed) == (True, "0 of 1 rows")


def test_a_large_day_is_read_a_few_columns_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    day, asked = _day(key=["a", "b"], other=[1, 3]), []

    def read(columns: Any) -> pa.Table:
        asked.append(list(columns))
        return day.select(columns)

    monkeypatch.setattr(judge, "CELLS", 2)
    group = _group(COVERED, {"expect_table_row_count_to_equal": {"value": 2}}, UNCOVERED)
    found = Judge(group)(read, day.num_rows, DS, "run")
    assert asked == [["key"], ["other"], ["other"]], "the last is for Great Expectations"
    assert [one.success for one in found] == [True, True, False, True, True]


def test_a_usual_night_does_not_import_great_expectations() -> None:
    """It takes seconds, in each task anew."""
    script = (
        "import sys\n"
        "from include.mlops.settings import Settings\n"
        "from include.mlops.spec.load import load_specs\n"
        "from include.mlops.steps.expectations.judge import Judge\n"
        "[Judge(group) for group in load_specs(Settings().specs).groups.values()]\n"
        "print('great_expectations' in sys.modules, 'pandas' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]

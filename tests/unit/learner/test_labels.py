"""A label's expression over Arrow columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.mlops.errors import TrainingFailed
from include.mlops.learner.labels import labels
from include.mlops.spec.expression import Expression

TABLE = pa.table(
    {
        "arr_delay": [20.0, 15.0, None, -3.0],
        "dest": ["HNL", "SEA", "SEA", None],
        "stops": pa.array([1, 2, 3, 4], pa.int32()),
    }
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("arr_delay > 15", [1, 0, None, 0]),
        ("arr_delay > 15 and dest == 'HNL'", [1, 0, None, None]),
        ("arr_delay > 15 or dest != 'HNL'", [1, 1, None, None]),
        ("not arr_delay >= 15", [0, 0, None, 1]),
        ("-arr_delay < stops * 2 - 5", [1, 1, None, 0]),
        ("stops == 1 or stops == 2 or stops == 4", [1, 1, 0, 1]),
    ],
)
def test_a_binary_label_is_one_zero_or_null_where_an_input_is_null(
    expression: str, expected: list[float | None]
) -> None:
    assert labels(Expression.parse(expression), TABLE, "binary").to_pylist() == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("arr_delay", [20, 15, None, -3]), ("stops / 2", [0.5, 1, 1.5, 2]), ("arr_delay + stops", [21, 17, None, 1])],
)
def test_a_regression_label_is_the_value(expression: str, expected: list[float | None]) -> None:
    assert labels(Expression.parse(expression), TABLE, "regression").to_pylist() == expected


def test_a_binary_label_that_is_a_number_is_refused_with_a_way_out() -> None:
    with pytest.raises(TrainingFailed, match=r"expects true or false .* found 20; compare with a bound"):
        labels(Expression.parse("arr_delay"), TABLE, "binary")


def test_a_text_compared_with_a_number_is_refused_as_a_fault_of_the_label() -> None:
    with pytest.raises(TrainingFailed, match=r"correct label\.expression"):
        labels(Expression.parse("dest > 15"), TABLE, "binary")


def test_a_text_alone_is_no_label() -> None:
    with pytest.raises(TrainingFailed, match="cannot be computed"):
        labels(Expression.parse("dest"), TABLE, "regression")


CHOICE = "'very_late' if arr_delay > 15 else 'late' if arr_delay > 0 else 'on_time'"


def test_a_class_is_its_place_in_the_list_and_a_null_condition_gives_no_label() -> None:
    classes = ("on_time", "late", "very_late")
    assert labels(Expression.parse(CHOICE), TABLE, "multiclass", classes).to_pylist() == [2, 1, None, 0]


def test_a_column_of_texts_may_be_the_class() -> None:
    assert labels(Expression.parse("dest"), TABLE, "multiclass", ("SEA", "HNL", "JFK")).to_pylist() == [1, 0, 0, None]


def test_a_class_that_is_not_listed_is_named_with_the_number_of_its_rows() -> None:
    with pytest.raises(TrainingFailed, match=r"one of the classes HNL, JFK, LGA, found 'SEA' in 2 rows.*label.classes"):
        labels(Expression.parse("dest"), TABLE, "multiclass", ("HNL", "JFK", "LGA"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("arr_delay if arr_delay > 0 else 0", [20, 15, None, 0]),
        ("arr_delay if dest == 'HNL' else stops", [20, 2, 3, None]),  # of a branch not taken a null does not matter
        ("(1 if stops > 2 else 0) + stops / 2", [0.5, 1, 2.5, 3]),
    ],
)
def test_a_choice_may_stand_in_any_label(expression: str, expected: list[float | None]) -> None:
    assert labels(Expression.parse(expression), TABLE, "regression").to_pylist() == expected


def test_a_missing_column_is_named() -> None:
    with pytest.raises(TrainingFailed, match="expected the columns dep_delay"):
        labels(Expression.parse("dep_delay > 3"), TABLE, "binary")


def test_an_infinite_regression_label_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="finite"):
        labels(Expression.parse("arr_delay / (stops - 1)"), TABLE, "regression")

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


def test_a_missing_column_is_named() -> None:
    with pytest.raises(TrainingFailed, match="expected the columns dep_delay"):
        labels(Expression.parse("dep_delay > 3"), TABLE, "binary")


def test_an_infinite_regression_label_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="finite"):
        labels(Expression.parse("arr_delay / (stops - 1)"), TABLE, "regression")

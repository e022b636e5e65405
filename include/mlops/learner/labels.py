"""A label's expression, evaluated over Arrow columns. A row with a null input has a null label.

Of a choice (`'late' if arr_delay > 15 else 'on_time'`) the condition and the branch that it takes are inputs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.mlops.errors import TrainingFailed
from include.mlops.spec.expression import Expression
from include.mlops.spec.tasks import TASKS

_OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: pc.add, ast.Sub: pc.subtract, ast.Mult: pc.multiply, ast.Div: pc.divide, ast.USub: pc.negate,
    ast.Not: pc.invert, ast.And: pc.and_, ast.Or: pc.or_,
    ast.Gt: pc.greater, ast.GtE: pc.greater_equal, ast.Lt: pc.less, ast.LtE: pc.less_equal,
    ast.Eq: pc.equal, ast.NotEq: pc.not_equal,
}  # fmt: skip


def labels(expression: Expression, table: pa.Table, task: str, classes: Sequence[str] = ()) -> pa.ChunkedArray:
    """One double for each row of `table`, null where an input is null; of a class, its place in `classes`.

    Raises TrainingFailed where the columns are missing or of the wrong type, or the values do not fit the task.
    """
    missing = [name for name in expression.columns if name not in table.column_names]
    if missing:
        raise TrainingFailed(
            f"label '{expression}': expected the columns {', '.join(missing)}, found {', '.join(table.column_names)}"
        )
    try:
        found = _evaluate(expression.tree, table)
        values = _codes(expression, found, classes) if classes else pc.cast(found, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise TrainingFailed(f"label '{expression}' cannot be computed: {error}; correct label.expression") from error
    _require_fit(expression, values, task)
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def _evaluate(node: ast.expr, table: pa.Table) -> Any:
    match node:
        case ast.Name(id=name):
            return table.column(name)
        case ast.Constant(value=value):
            return pa.scalar(value)
        case ast.BinOp(left=left, op=ast.Div(), right=right):  # true division, as the expression reads
            return pc.divide(pc.cast(_evaluate(left, table), pa.float64()), _evaluate(right, table))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATIONS[type(op)](_evaluate(left, table), _evaluate(right, table))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _OPERATIONS[type(op)](_evaluate(left, table), _evaluate(right, table))
        case ast.UnaryOp(op=op, operand=only):
            return _OPERATIONS[type(op)](_evaluate(only, table))
        case ast.BoolOp(op=op, values=[first, *rest]):
            found = _evaluate(first, table)
            for operand in rest:
                found = _OPERATIONS[type(op)](found, _evaluate(operand, table))
            return found
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return pc.if_else(_evaluate(test, table), _evaluate(body, table), _evaluate(otherwise, table))
        case _:
            raise TrainingFailed(f"'{ast.unparse(node)}' is not allowed in a label")


def _codes(expression: Expression, found: Any, classes: Sequence[str]) -> Any:
    codes = pc.index_in(found, value_set=pa.array(classes))
    others = found.filter(pc.and_(pc.is_valid(found), pc.is_null(codes)))
    if len(others):
        raise TrainingFailed(
            f"label '{expression}': expected one of the classes {', '.join(classes)}, found '{others[0]}' "
            f"in {len(others)} rows; add it to label.classes, or correct label.expression"
        )
    return pc.cast(codes, pa.float64())


def _require_fit(expression: Expression, values: Any, task: str) -> None:
    known: NDArray[np.float64] = values.drop_null().to_numpy()
    if not np.isfinite(known).all():
        raise TrainingFailed(
            f"label '{expression}': expected finite numbers, found {int((~np.isfinite(known)).sum())} that are not"
        )
    wanted = TASKS[task]
    codes = range(len(wanted.classes))
    if codes and not np.isin(known, codes).all():
        other = known[~np.isin(known, codes)][0]
        numbers = " and ".join(map(str, codes))
        raise TrainingFailed(
            f"label '{expression}': the task {task} expects {wanted.label} (or {numbers}), found {other:g}; "
            "compare with a bound, such as 'arr_delay > 15', or set task: regression"
        )

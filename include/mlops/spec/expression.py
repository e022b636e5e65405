"""A label's expression: comparisons, arithmetic, logic and choices over columns, checked when the file is read.

Nothing is evaluated here; the learner turns the same tree into Arrow compute calls.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Name, ast.Constant, ast.Load,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.Not, ast.And, ast.Or,
    ast.Gt, ast.GtE, ast.Lt, ast.LtE, ast.Eq, ast.NotEq, ast.IfExp,
)  # fmt: skip
_LONGEST, _DEEPEST = 4000, 100
_WANTED = "expected an expression such as 'arr_delay > 15'"
_ALLOWED = (
    "columns, numbers, texts, + - * /, comparisons of two, and, or, not, and choices such as 'a' if x > 1 else 'b'"
)

Kind = Literal["true or false", "a number", "a text", "a time"]
_KINDS: dict[str, Kind] = {
    "boolean": "true or false", "int": "a number", "long": "a number", "double": "a number", "string": "a text",
    "date": "a time", "timestamp": "a time",
}  # fmt: skip
_KIND_OF_CONSTANT: dict[type, Kind] = {str: "a text", bool: "true or false"}


class Expression(str):
    """Text such as `arr_delay > 15 and dest != 'HNL'`, known to parse."""

    __slots__ = ()

    @property
    def tree(self) -> ast.expr:
        return ast.parse(str(self), mode="eval").body

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, sorted."""
        return tuple(sorted({node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts written out that it gives: those of a choice's branches."""
        return tuple(dict.fromkeys(_texts(self.tree)))

    def kind(self, types: Mapping[str, str]) -> Kind:
        """What it gives, over columns of these types. Raises ValueError where types do not go together."""
        return _kind(self.tree, types)

    @classmethod
    def parse(cls, value: Any) -> Expression:
        """Check the text. Raises ValueError saying what is not allowed and where."""
        if not isinstance(value, str):
            raise ValueError(f"{_WANTED}, found {value!r}")  # noqa: TRY004 (pydantic wants ValueError)
        value = value.strip()
        if len(value) > _LONGEST:
            raise ValueError(f"expected an expression of at most {_LONGEST} characters, found {len(value)}")
        try:
            tree = ast.parse(value, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ValueError(f"{_WANTED}, found {value!r}: {reason}") from None
        if _depth(tree) > _DEEPEST:
            raise ValueError(f"expected an expression of at most {_DEEPEST} operations in each other, found more")
        for node in ast.walk(tree):
            if not _is_allowed(node):
                shown = ast.unparse(node) if isinstance(node, ast.expr) else value
                raise ValueError(f"'{shown}' is not allowed in an expression; allowed: {_ALLOWED}")
        found = cls(value)
        if not found.columns:
            raise ValueError(f"expected at least one column in the expression, found '{value}'")
        return found

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())


def _depth(tree: ast.AST) -> int:
    depth, level = 0, [tree]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        return len(node.ops) == 1
    if isinstance(node, ast.Constant):
        whole = isinstance(node.value, int) and abs(node.value) < 2**63
        return whole or isinstance(node.value, str) or (isinstance(node.value, float) and isfinite(node.value))
    return isinstance(node, _NODES)


def _kind(node: ast.expr, types: Mapping[str, str]) -> Kind:
    match node:
        case ast.Name():
            return _KINDS[types[node.id]]
        case ast.Constant():
            return _KIND_OF_CONSTANT.get(type(node.value), "a number")
        case ast.Compare():
            left, right = _kind(node.left, types), _kind(node.comparators[0], types)
            if left != right and {left, right} != {"a time", "a text"}:
                raise ValueError(f"'{ast.unparse(node)}' compares {left} with {right}")
            return "true or false"
        case ast.BoolOp():
            return _all_of("true or false", node, node.values, types)
        case ast.UnaryOp(op=ast.Not()):
            return _all_of("true or false", node, [node.operand], types)
        case ast.UnaryOp():
            return _all_of("a number", node, [node.operand], types)
        case ast.BinOp():
            return _all_of("a number", node, [node.left, node.right], types)
        case ast.IfExp():
            _all_of("true or false", node, [node.test], types)
            return _all_of(_kind(node.body, types), node, [node.orelse], types)
    raise ValueError(f"'{ast.unparse(node)}' is not allowed in an expression")


def _texts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.IfExp():
            yield from (*_texts(node.body), *_texts(node.orelse))
        case ast.Constant(value=str(text)):
            yield text


def _all_of(wanted: Kind, node: ast.expr, parts: list[ast.expr], types: Mapping[str, str]) -> Kind:
    for part in parts:
        found = _kind(part, types)
        if found != wanted:
            raise ValueError(f"expected {ast.unparse(part)} in '{ast.unparse(node)}' to be {wanted}, found {found}")
    return wanted

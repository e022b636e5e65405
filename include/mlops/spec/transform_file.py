"""Looks at a `transform.py` without running it."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

SIGNATURE = "def transform(rows: DataFrame, reads: Reads) -> DataFrame"


def parse_python(path: Path) -> ast.Module:
    """The file's syntax tree. Raises SyntaxError, OSError or ValueError (not UTF-8, null bytes)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning about an escape is not ours to raise
        return ast.parse(path.read_bytes(), filename=path.name)


def transform_faults(path: Path) -> list[tuple[int, str, str]]:
    """(line, key, message) of each thing that keeps `path` from being called as a transform."""
    try:
        tree = parse_python(path)
    except FileNotFoundError:
        return [(1, "", f"missing; write one beside feature_group.yaml with a function `{SIGNATURE}`")]
    except SyntaxError as error:
        return [(error.lineno or 1, "", f"not valid Python: {error.msg}")]
    except (RecursionError, MemoryError):
        return [(1, "", "cannot be read as Python: nested too deeply")]
    except (OSError, ValueError) as error:
        return [(1, "", f"cannot be read as Python: {error}")]
    defined = [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "transform"
    ]
    if not defined:
        return [(1, "transform", f"missing; expected a function `{SIGNATURE}` at the top level")]
    function = defined[-1]
    if isinstance(function, ast.AsyncFunctionDef):
        return [(function.lineno, "transform", f"expected `{SIGNATURE}`, found an async function")]
    if not _takes_two(function.args):
        return [(function.lineno, "transform", f"expected `{SIGNATURE}`, found transform({_shown(function.args)})")]
    return []


def _shown(arguments: ast.arguments) -> str:
    """Their names."""
    some = [f"*{arguments.vararg.arg}"] if arguments.vararg else ["*"] if arguments.kwonlyargs else []
    others = [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    by_place, by_name = arguments.posonlyargs + arguments.args, arguments.kwonlyargs
    return ", ".join([*(each.arg for each in by_place), *some, *(each.arg for each in by_name), *others])


def _takes_two(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    needed = positional - len(arguments.defaults)
    named_only = any(default is None for default in arguments.kw_defaults)
    return needed <= 2 <= (99 if arguments.vararg else positional) and not named_only

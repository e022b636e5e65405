"""The table in docs/reliability.md names tests that exist, each row a kind of its own."""

from __future__ import annotations

import ast
import re

from include.mlops.settings import ROOT

_ROW = re.compile(r"\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `([^|]+)` \|")
ROWS = [
    found.groups() for line in (ROOT / "docs/reliability.md").read_text().splitlines() if (found := _ROW.match(line))
]


def test_rows_are_numbered_and_tell_at_least_25_kinds() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, len(ROWS) + 1))
    kinds = {row[1:4] for row in ROWS}
    assert len(kinds) == len(ROWS), "a row is told twice"
    assert len(kinds) >= 25


def test_each_row_names_a_test_that_exists() -> None:
    for row in ROWS:
        file, _, name = row[5].partition("::")
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row


def test_each_test_of_faults_is_in_the_table() -> None:
    named = {row[5] for row in ROWS}
    for file in sorted((ROOT / "tests/integration/faults").glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert f"{file.relative_to(ROOT)}::{node.name}" in named

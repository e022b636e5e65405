"""Values of single rows in what the ledger says in words, and how they are taken out again."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

EXAMPLES = ", such as "
"""Before the values that did not meet an expectation."""
_ERASED = "(what was said here held the key of rows that were erased)"


def without_examples(text: str, values: Collection[str]) -> str:
    """The text up to its examples, where they hold one of the values."""
    said, _, shown = text.partition(EXAMPLES)
    return said if any(value in shown for value in values) else text


def without_key(body: dict[str, Any], values: Collection[str]) -> dict[str, Any]:
    """A message without such examples. Its summary, which may cite others' errors, goes where it has all values."""
    summary = without_examples(body["summary"], values)
    if all(re.search(rf"(?<!\w){re.escape(value)}(?!\w)", summary) for value in values):
        summary = _ERASED
    numbers = {name: without_examples(told, values) for name, told in body["numbers"].items()}
    return {**body, "summary": summary, "numbers": numbers}

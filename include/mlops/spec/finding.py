"""What is wrong in a user's file, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Loc = tuple[str | int, ...]
"""Where in a file: keys and list positions from its top, such as `("features", "columns", 2)`."""


@dataclass(frozen=True)
class Fault:
    """Something wrong at `loc`; `line` where the loc alone does not tell it."""

    loc: Loc
    message: str
    line: int | None = None


class Faults(ValueError):
    """Several faults found by one validator; their locs count from the top of the file."""

    def __init__(self, found: list[Fault]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(f"{dotted(fault.loc)}: {fault.message}" for fault in found))


@dataclass(frozen=True, order=True)
class Finding:
    """One fault of one file. `file` is relative to the folder that holds the specs folder."""

    file: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        text = f"{self.file.as_posix()}:{self.line}: " + (f"{self.key}: " if self.key else "") + self.message
        return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def dotted(loc: Loc) -> str:
    """`("expectations", 2, "severity")` -> `expectations[2].severity`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")

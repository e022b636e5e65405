"""Whether a published partition still equals what would be made now, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

FILE = "file"
"""The input that is a landed file; every other one is a table."""
ABSENT = ""
"""In place of the digest of a partition that was not published when it was read."""


@dataclass(frozen=True)
class Made:
    """What a partition is made of: code and specification, content of inputs, version of the model.

    `inputs` is {table: {ds: digest}}; a partition whose digest nobody knows is left out. None says that it has no part
    in this.
    """

    meaning: str | None = None
    inputs: Mapping[str, Mapping[date, str]] = field(default_factory=dict)
    version: int | None = None


def stale_because(then: Made, now: Made, name: str = "it") -> str | None:
    """Why the partition of `name` that was made of `then` differs from one made of `now`; None where it does not.

    What is not known of one side, as of partitions published before digests were kept, is no difference.
    """
    return "; ".join(_reasons(then, now, name)) or None


def _reasons(then: Made, now: Made, name: str) -> Iterator[str]:
    if then.meaning and now.meaning and then.meaning != now.meaning:
        yield f"the code or specification of {name} changed"
    if then.version and now.version and then.version != now.version:
        yield f"v{now.version} is live for this day, it was scored by v{then.version}"
    for table in sorted(set(now.inputs) - {FILE, *then.inputs}):
        yield f"it reads {_short(table)} now"
    for table in sorted(set(now.inputs) & set(then.inputs)):
        yield from _differences(table, then.inputs[table], now.inputs[table])


def _differences(table: str, then: Mapping[date, str], now: Mapping[date, str]) -> Iterator[str]:
    changed = sorted(ds for ds in set(then) & set(now) if then[ds] != now[ds])
    came = [ds for ds in changed if then[ds] == ABSENT]
    again = [ds for ds in changed if then[ds] != ABSENT]
    if table == FILE:
        if again:
            yield "its file changed since"
        return
    if again:
        yield f"its input {_short(table)} of {_days(again)} was published again with other rows"
    if came:
        yield f"made without {_short(table)} of {_days(came)}, which is published now"


def _short(table: str) -> str:
    return table.partition(".")[2] if table.startswith("features.") else table


def _days(days: list[date]) -> str:
    shown = ", ".join(map(str, days[:3]))
    return f"{shown} and {len(days) - 3} more day(s)" if len(days) > 3 else shown

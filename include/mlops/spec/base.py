"""What all specifications share: frozen, no unknown keys, durations in days."""

from __future__ import annotations

import re
import string
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from include.mlops.spec.interval import parse_days
from include.mlops.spec.nearest import nearest

DAYS_OF = {"day": 1, "week": 7, "month": 30}
_FURTHEST = 36_500


class Spec(BaseModel):
    """A part of a user's file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _lag(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError(f"expected days such as '7d', found {value!r}")  # noqa: TRY004 (pydantic wants ValueError)
    days = parse_days(value)
    if abs(days) > _FURTHEST:
        raise ValueError(f"expected at most 36500d, found '{value}'")
    return days


def _duration(value: Any) -> int:
    days = _lag(value)
    if days < 0:
        raise ValueError(f"expected no negative number of days, found {value!r}")
    return days


def _every(value: Any) -> int:
    if isinstance(value, str) and value in DAYS_OF:
        return DAYS_OF[value]
    found = re.fullmatch(r"([0-9]{1,5})d", value) if isinstance(value, str) else None
    if not found or not 1 <= int(found.group(1)) <= _FURTHEST:
        raise ValueError(f"expected 'day', 'week', 'month' or days such as '10d', at most 36500d, found {value!r}")
    return int(found.group(1))


def _hours(value: Any) -> float:
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)(h|m)", value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"expected hours or minutes such as '6h' or '30m', found {value!r}")
    return float(found.group(1)) / (60 if found.group(2) == "m" else 1)


def _workers(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 1 <= value <= 1024):
        hint = "; did you mean 'auto'?" if isinstance(value, str) and nearest(value, ["auto"]) else ""
        raise ValueError(f"expected auto, or a whole number from 1 to 1024, found {value!r}{hint}")
    return value


def _day(value: Any) -> date:
    try:
        found = value if isinstance(value, date) and not isinstance(value, datetime) else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a day such as 2013-01-30, found {str(value)!r}") from None
    if not 1900 <= found.year < 3000:  # so that a lag from there is a day, too
        raise ValueError(f"expected a day of the years 1900 to 2999, found {found}")
    return found


def tells_one_day(path: str) -> bool:
    """Whether `{ds}` and nothing else stands in the braces of `path`."""
    try:
        fields = [part[1:] for part in string.Formatter().parse(path) if part[1] is not None]
    except ValueError:
        return False
    return bool(fields) and all(field == ("ds", "", None) for field in fields)


def repeated(values: tuple[str, ...], *, apart_from_case: bool = False) -> list[str]:
    """Those of `values` that occur more than once, sorted."""
    plain = [value.casefold() if apart_from_case else value for value in values]
    return sorted({value for value, name in zip(values, plain, strict=True) if plain.count(name) > 1})


_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_COLUMN = r"^[A-Za-z_][A-Za-z0-9_]*$"
_TABLE = r"^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$"
PATTERNS = {
    _NAME: "a name of lower-case letters, digits and _, a letter first, at most 63",
    _COLUMN: "a column name of letters, digits and _, no digit first",
    _TABLE: "a table such as scores or crm.scores, of lower-case letters, digits and _, no digit first",
}
"""What each pattern means, for messages."""

Name = Annotated[str, StringConstraints(pattern=_NAME)]
Column = Annotated[str, StringConstraints(pattern=_COLUMN)]
TableName = Annotated[str, StringConstraints(pattern=_TABLE)]
"""A table of somebody else's database, perhaps with its schema."""
Whole = Annotated[int, Field(strict=True)]
"""A whole number; neither true nor "3" is one."""
Workers = Annotated[Literal["auto"] | int, BeforeValidator(_workers)]
"""1: in the task's own process; more: so many of Spark's; auto: whichever fits the memory that a task may hold."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Day = Annotated[date, BeforeValidator(_day)]
Lag = Annotated[int, BeforeValidator(_lag)]
"""Days relative to a partition, such as `-2d`."""
Duration = Annotated[int, BeforeValidator(_duration)]
"""A number of days, such as `28d`."""
Every = Annotated[int, BeforeValidator(_every)]
"""A cadence in days: `day`, `week`, `month`, or such as `10d`."""
Restatement = Literal["mark", "recompute"]
"""Mark what is out of date and leave it to somebody, or compute it again at once."""
Hours = Annotated[float, BeforeValidator(_hours)]
"""A time span such as `6h` or `30m`, in hours."""

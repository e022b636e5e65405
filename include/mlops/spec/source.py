"""Where a feature group's rows come from, a day at a time: landed files, a table of the lake's catalog, or a query."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from include.mlops.spec.base import Column, Spec, repeated, tells_one_day

ColumnType = Literal["string", "int", "long", "double", "boolean", "date", "timestamp"]
Format = Literal["csv", "json", "parquet", "iceberg", "jdbc"]
_KEYS: dict[str, dict[Format, bool]] = {  # whose key it is, and whether that format needs it
    "path": {"csv": True, "json": True, "parquet": True},
    "table": {"iceberg": True},
    "day": {"iceberg": True},
    "connection": {"jdbc": True},
    "query": {"jdbc": True},
    "ready": {"jdbc": False},
}


class Drift(Spec):
    """What becomes of a partition whose source has other columns than those declared.

    `empty` publishes the partition without values in that column, which keys and times cannot be. `quarantine` converts
    each value where that is possible and sets the other rows aside.
    """

    added: Literal["ignore", "warn", "fail"] = "warn"
    lost: Literal["fail", "empty"] = "fail"
    retyped: Literal["fail", "empty", "quarantine"] = "fail"


class Source(Spec):
    """The columns to read, and for each format the keys that say where they are."""

    format: Format
    columns: dict[Column, ColumnType] = Field(min_length=1)
    path: str = Field(default="", validate_default=True, description="below the landing root, with {ds} for the day")
    table: str = Field(default="", validate_default=True, description="namespace.table in the lake's own catalog")
    day: str = Field(default="", validate_default=True, description="its date or timestamp column that tells the day")
    connection: str = Field(default="", validate_default=True, description="names MLOPS_SOURCE_<CONNECTION>_URL")
    query: str = Field(default="", validate_default=True, description="the rows of one day, with {ds} for the day")
    ready: str = Field(default="", validate_default=True, description="a query: true or a count once the day is whole")
    empty: Literal["fail", "allow"] = "fail"
    """Whether a day without rows (a file with a header alone) is an empty day or a mistake."""
    drift: Drift = Drift()

    @field_validator("columns")
    @classmethod
    def _apart(cls, columns: dict[str, str]) -> dict[str, str]:
        return told_apart(columns)

    @field_validator(*_KEYS)
    @classmethod
    def _of_its_format(cls, value: str, info: ValidationInfo) -> str:
        form, key = info.data.get("format"), str(info.field_name)
        if form is None:
            return value
        if value and form not in _KEYS[key]:
            own = ", ".join(other for other, formats in _KEYS.items() if form in formats)
            raise ValueError(f"belongs to format {', '.join(_KEYS[key])}; a source of format {form} is told by {own}")
        if not value and _KEYS[key].get(form):
            raise ValueError(f"missing; a source of format {form} needs it: {cls.model_fields[key].description}")
        return value

    @field_validator("path")
    @classmethod
    def _one_file_a_partition(cls, path: str) -> str:
        if not path:
            return path
        if not tells_one_day(path):
            raise ValueError(f"expected {{ds}} and nothing else in braces, one file for each partition, found '{path}'")
        if path.startswith("/") or "://" in path or ".." in path.split("/"):
            raise ValueError(f"expected a path below the landing root, found '{path}'")
        return path

    @field_validator("table")
    @classmethod
    def _with_namespace(cls, table: str) -> str:
        if table and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", table):
            raise ValueError(f"expected namespace.table in the lake's catalog, such as sales.orders, found '{table}'")
        return table

    @field_validator("day")
    @classmethod
    def _a_column(cls, day: str) -> str:
        if day and not re.fullmatch(r"[A-Za-z_]\w*", day):
            raise ValueError(f"expected the name of a date or timestamp column of the table, found '{day}'")
        return day

    @field_validator("connection")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if name and not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
            told = "the name of a connection in lower-case letters, digits and _"
            raise ValueError(f"expected {told}; its URL is set outside, as MLOPS_SOURCE_<NAME>_URL")
        return name

    @field_validator("query", "ready")
    @classmethod
    def _of_one_day(cls, query: str) -> str:
        if query and "{ds}" not in query:
            raise ValueError(f"expected {{ds}}, the day whose rows are meant, as in day = '{{ds}}', found '{query}'")
        return query.rstrip("; \n")


def told_apart(columns: dict[str, str]) -> dict[str, str]:
    """`columns`, unless two of them differ in nothing but case, which raises ValueError."""
    if alike := repeated(tuple(columns), apart_from_case=True):
        listed = ", ".join(alike)
        raise ValueError(f"expected names that differ in more than case (Spark reads them as one), found {listed}")
    return columns

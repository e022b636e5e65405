"""Where published scores are written to as well: `exports:` of a model's file."""

from __future__ import annotations

import posixpath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from include.mlops.spec.base import Column, Name, Spec, TableName, repeated, tells_one_day
from include.mlops.spec.finding import Fault, Faults

ALWAYS = ("model_version", "ds")
"""Columns that every exported row carries, asked for or not."""


def is_absolute(path: str) -> bool:
    """Whether a file's path lies elsewhere than below the export root."""
    return path.startswith("/") or "://" in path


def _each_once(columns: tuple[str, ...]) -> tuple[str, ...]:
    if twice := repeated(columns):
        raise ValueError(f"expected each column once, found twice: {', '.join(twice)}")
    return columns


Columns = Annotated[tuple[Column, ...], Field(min_length=1), AfterValidator(_each_once)]


class FileExport(Spec):
    """One file a day. `path` lies below the export root, unless it begins with `/` or `s3://`."""

    path: str
    columns: Columns | None = None

    @field_validator("path")
    @classmethod
    def _one_file_a_day(cls, path: str) -> str:
        if not tells_one_day(path):
            raise ValueError(f"expected {{ds}} and nothing else in braces, one file for each day, found '{path}'")
        if "://" in path and not path.startswith("s3://"):
            raise ValueError(f"expected a path or an s3:// address, found '{urlsplit(path).scheme}://'")
        if "://" in path and "@" in urlsplit(path).netloc:
            raise ValueError("expected no access key in an address; it comes from the environment")
        if ".." in path.split("/") or path.endswith("/"):
            raise ValueError(f"expected the path of a file, without '..', found '{path}'")
        return path


class TableExport(Spec):
    """One table of a database. `connection` names the variable `MLOPS_EXPORT_<CONNECTION>_URL`."""

    connection: Name
    table: TableName
    columns: Columns | None = None


class Export(Spec):
    """One of the three."""

    parquet: FileExport | None = None
    csv: FileExport | None = None
    jdbc: TableExport | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Export:
        found = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(found) != 1:
            listed = " and ".join(found) or "none"
            raise ValueError(f"expected one of {', '.join(type(self).model_fields)} in each entry, found {listed}")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns asked for; None for all."""
        return self._chosen.columns

    @property
    def place(self) -> str:
        """What it replaces day by day: two exports to one place would overwrite each other."""
        chosen = self._chosen
        if isinstance(chosen, TableExport):
            return f"{chosen.connection}: {chosen.table}"
        scheme, mark, path = chosen.path.rpartition("://")
        return f"{scheme}{mark}{posixpath.normpath(path)}"

    @property
    def _chosen(self) -> FileExport | TableExport:
        return next(one for one in (self.parquet, self.csv, self.jdbc) if one is not None)


def _apart(exports: tuple[Export, ...]) -> tuple[Export, ...]:
    places = [export.place for export in exports]
    faults = [
        Fault(("exports", number, export.kind), f"expected a place of its own, found that of exports[{first}]")
        for number, export in enumerate(exports)
        if (first := places.index(export.place)) != number
    ]
    if faults:
        raise Faults(faults)
    return exports


Exports = Annotated[tuple[Export, ...], AfterValidator(_apart)]

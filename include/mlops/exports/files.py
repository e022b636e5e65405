"""Scores as one file a day, Parquet or CSV, on a disk or in an object store. The same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from include.mlops.errors import ExportFailed, ServiceUnavailable
from include.mlops.settings import Settings
from include.mlops.spec.export import is_absolute
from include.mlops.stored_files import trouble, write_whole


@dataclass(frozen=True)
class DayFiles:
    """`address` holds {ds}: a local path, or an address that Arrow's file systems know."""

    kind: Literal["parquet", "csv"]
    address: str

    @property
    def target(self) -> str:
        return f"{self.kind} {self.address}"

    def replace(self, ds: date, rows: pa.Table, keys: Sequence[str]) -> None:
        """`rows` as the file of that day, sorted by `keys`; a file of the schema alone where there are none.

        Raises ExportFailed, ServiceUnavailable.
        """
        url = self.address.format(ds=ds.isoformat())
        content = self._content(rows.sort_by([(key, "ascending") for key in keys]))
        with _answering(url):
            write_whole(url, content)

    def _content(self, rows: pa.Table) -> pa.Buffer:
        sink = pa.BufferOutputStream()
        if self.kind == "parquet":
            pq.write_table(rows, sink)
        else:
            try:
                pyarrow.csv.write_csv(rows, sink)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ExportFailed(
                    f"expected columns of plain values for a CSV file, found: {error}; name others in columns"
                ) from error
        return sink.getvalue()


def address(settings: Settings, path: str) -> str:
    """Where `path` of an export lies, {ds} left in it."""
    if is_absolute(path):
        return path
    root = settings.exports.rstrip("/")
    if "://" not in root:
        return f"{Path(root).absolute()}/{path}"
    return f"{root}/{path}"


@contextmanager
def _answering(url: str) -> Iterator[None]:
    try:
        yield
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError, pa.ArrowInvalid) as error:
        raise ExportFailed(f"expected a file that may be written at {url}, found: {error}; make room for it") from error
    except OSError as error:
        if trouble(error) == "refused":
            raise ExportFailed(
                f"the store of exported files refused us {url}: {error}; let this user write there"
            ) from error
        raise ServiceUnavailable(f"the store of exported files did not take {url}: {error}") from error

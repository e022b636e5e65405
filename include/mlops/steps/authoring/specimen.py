"""Some real rows of a file or table that no specification tells of yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.json as pc_json
import pyarrow.parquet as pq

from include.mlops.errors import EmptyFile, MissingFile, UnreadableFile, UnreadableSource
from include.mlops.lake.foreign import some_rows, tables
from include.mlops.settings import Settings
from include.mlops.spec.nearest import allowed
from include.mlops.steps.platform import Platform
from include.mlops.stored_files import file_system

ROWS = 10_000
FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Specimen:
    """At most ROWS rows, and where they are from in the words of `source:`.

    `path` has {ds} for the day, at `ds`, where the file's name tells one. `landed`: whether it lies below the landing
    root, so that the path is known and not guessed.
    """

    format: str
    rows: pa.Table
    place: str
    path: str = ""
    landed: bool = False
    ds: date | None = None
    table: str = ""


def from_file(settings: Settings, name: str, path: str) -> Specimen:
    """A CSV, JSON lines or Parquet file, of which the group `name` would read one a day.

    A path that is not there is looked for below the landing root. Raises BrokenSource.
    """
    root = settings.landing.rstrip("/")
    form = FORMATS.get(Path(path).suffix.lower())
    if form is None:
        raise UnreadableFile(f"expected a file that ends in {', '.join(FORMATS)}, found {path}")
    found = next((place for place in _places(root, path) if _is_file(place)), None)
    if found is None:
        raise MissingFile(f"expected a file at {' or '.join(_places(root, path))}, found none")
    rows = _read(form, found)
    if not rows.num_rows:
        raise EmptyFile(f"expected rows in {found}, found none: types cannot be told without; take another day")
    below = found.removeprefix(f"{_whole(root)}/")
    landed = below != found
    shown = below if landed else f"{name}/{found.rsplit('/', 1)[-1]}"
    ds = _day_in(shown)
    plain = shown.replace("{", "{{").replace("}", "}}")
    told = plain.replace(str(ds), "{ds}") if ds else f"{name}/{{ds}}{Path(path).suffix}"
    return Specimen(form, rows, found, told, landed and ds is not None, ds)


def from_table(platform: Platform, table: str) -> Specimen:
    """A table of the lake's own catalog. Raises UnreadableSource where it is not there or has no rows."""
    if not platform.lake.exists(table):
        raise UnreadableSource(f"the lake's catalog: {allowed('table', table, tables(platform.lake))}")
    rows = some_rows(platform.lake, table, ROWS)
    if not rows.num_rows:
        raise UnreadableSource(f"expected rows in the lake table {table}, found none; write some first")
    return Specimen("iceberg", rows, f"the lake table {table}", table=table)


def _places(root: str, path: str) -> list[str]:
    return list(dict.fromkeys([_whole(path), *([] if Path(path).is_absolute() else [f"{_whole(root)}/{path}"])]))


def _whole(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _is_file(url: str) -> bool:
    filesystem, path = file_system(url)
    return bool(filesystem.get_file_info(path).is_file)


def _day_in(path: str) -> date | None:
    for text in _DAY.findall(path):
        try:
            return date.fromisoformat(text)
        except ValueError:
            continue
    return None


def _read(form: str, url: str) -> pa.Table:
    filesystem, path = file_system(url)
    try:
        with filesystem.open_input_file(path) as file:
            return _first_rows(form, file).slice(0, ROWS)
    except StopIteration:
        return pa.table({})
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise UnreadableFile(f"expected {form} in {url}, found what cannot be read as that: {error}") from error


def _first_rows(form: str, file: Any) -> pa.Table:
    if form == "parquet":
        content = pq.ParquetFile(file)
        batches = content.iter_batches(batch_size=ROWS)
        return pa.Table.from_batches([b for b in [next(batches, None)] if b is not None], content.schema_arrow)
    if form == "csv":
        empty = pc_csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
        reader = pc_csv.open_csv(file, convert_options=empty)
    else:
        reader = pc_json.open_json(file)
    return pa.Table.from_batches([reader.read_next_batch()])

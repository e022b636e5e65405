"""Landed files: what has arrived, and what can be said of a file before Spark reads it.

Files are reached through Arrow's file systems, so a path may be local or an `s3://` address.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyarrow import types as arrow

from include.mlops.errors import (
    BrokenFile,
    EmptyFile,
    MissingFile,
    ServiceUnavailable,
    TruncatedFile,
    UnreadableFile,
    WrongEncoding,
    WrongHeader,
)
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup

CHUNK = 1 << 16
_ANEW = "land it again, or say `empty: allow` under source where a day may have none"
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'"}
_FITTING = {  # what Spark reads as the declared type; finer points (a number that is too large) are judged row by row
    "string": lambda kind: arrow.is_string(kind) or arrow.is_large_string(kind) or arrow.is_dictionary(kind),
    "int": arrow.is_integer,
    "long": arrow.is_integer,
    "double": lambda kind: arrow.is_integer(kind) or arrow.is_floating(kind) or arrow.is_decimal(kind),
    "boolean": arrow.is_boolean,
    "date": lambda kind: arrow.is_date(kind) or _readable_timestamp(kind),
    "timestamp": lambda kind: arrow.is_date(kind) or _readable_timestamp(kind),
}


def address(settings: Settings, group: FeatureGroup, ds: date) -> str:
    """Where the file of that partition lands."""
    root = settings.landing.rstrip("/")
    return f"{root if '://' in root else Path(root).absolute()}/{group.path(ds)}"


def landed(url: str) -> bool:
    """Raises ServiceUnavailable where the store of landed files does not answer."""
    with _answering(url):
        filesystem, path = _open(url)
        return bool(filesystem.get_file_info(path).type == fs.FileType.File)


def inspect(group: FeatureGroup, url: str) -> BrokenFile | None:
    """What is wrong with the file as a whole; None where Spark may read it. Raises ServiceUnavailable."""
    with _answering(url):
        filesystem, path = _open(url)
        info = filesystem.get_file_info(path)
        if info.type != fs.FileType.File:
            found = "a folder" if info.type == fs.FileType.Directory else "none"
            return MissingFile(
                f"expected the file {url}, found {found}; land it, or lower schedule.end of {group.name}"
            )
        if info.size == 0 and not (group.source.format == "json" and group.source.empty == "allow"):
            return EmptyFile(f"expected rows in {url}, found 0 bytes; was the upload cut off? Land it again")
        if group.source.format == "parquet":
            return _inspect_parquet(group, url, filesystem, path)
        try:
            with filesystem.open_input_file(path) as file:
                head: bytes = file.read(CHUNK)
                file.seek(max(0, info.size - CHUNK))
                tail: bytes = file.read(CHUNK)
        except PermissionError as error:
            return UnreadableFile(f"expected a file that may be read at {url}, found: {error}; grant this user access")
    broken = _inspect_text(group, url, head, tail)
    return None if isinstance(broken, EmptyFile) and group.source.empty == "allow" else broken


def identity(url: str) -> dict[str, Any]:
    """Which file it is: `{"size":, "modified":, "sha256":}`; all None where there is none. Reads it once."""
    with _answering(url):
        filesystem, path = _open(url)
        info = filesystem.get_file_info(path)
        if info.type != fs.FileType.File:
            return {"size": None, "modified": None, "sha256": None}
        found = hashlib.sha256()
        with filesystem.open_input_stream(path, compression=None) as file:
            while part := file.read(CHUNK):
                found.update(part)
    return {"size": info.size, "modified": info.mtime_ns, "sha256": found.hexdigest()}


def same_file(url: str, known: Mapping[str, Any]) -> bool:
    """Whether size and time are those of the `known` identity; the file is not read."""
    with _answering(url):
        filesystem, path = _open(url)
        info = filesystem.get_file_info(path)
    return (info.size, info.mtime_ns) == (known["size"], known["modified"])


def physical_types(url: str) -> str:
    """The types in a Parquet file: Spark reads files together only where these are equal."""
    with _answering(url):
        filesystem, path = _open(url)
        return str(_parquet(filesystem, path).schema.to_arrow_schema().remove_metadata())


def promised_rows(url: str) -> int:
    """The number of rows that a Parquet file says it holds."""
    with _answering(url):
        filesystem, path = _open(url)
        return int(_parquet(filesystem, path).num_rows)


def _inspect_text(group: FeatureGroup, url: str, head: bytes, tail: bytes) -> BrokenFile | None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head + tail:
        return WrongEncoding(f"expected UTF-8 text in {url}, found UTF-16 or binary data; export it as UTF-8")
    for part in (head, tail):
        broken = _not_utf8(part, whole_start=part is head)
        if broken is not None:
            return WrongEncoding(f"expected UTF-8 text in {url}, found the byte 0x{broken:02x}; export it as UTF-8")
    lines = _lines(head.removeprefix(b"\xef\xbb\xbf"))
    last = "" if tail.endswith((b"\n", b"\r")) else _lines(tail)[-1]  # a whole file ends its last line
    if group.source.format == "json":
        return _inspect_json(url, lines, last)
    return _inspect_csv(list(group.source.columns), url, lines, last)


def _inspect_csv(expected: list[str], url: str, lines: list[str], last: str) -> BrokenFile | None:
    header = next(csv.reader(lines[:1]), [])
    if header != expected:
        return WrongHeader(f"{url}:1: {_difference(expected, header)}")
    if not any(line.strip() for line in lines[1:]):
        return EmptyFile(f"expected rows in {url}, found a header alone; {_ANEW}")
    fields = len(next(csv.reader([last]), [])) if last else len(expected)
    if fields < len(expected):
        return TruncatedFile(
            f"expected {len(expected)} fields in the last line of {url}, found '{last[:80]}' and no end of line; "
            "was the upload cut off? Land it again"
        )
    return None


def _inspect_json(url: str, lines: list[str], last: str) -> BrokenFile | None:
    first = next((line.strip() for line in lines if line.strip()), "")
    if not first:
        return EmptyFile(f"expected rows in {url}, found blank lines; {_ANEW}")
    if not first.startswith("{") or first == "{":
        return UnreadableFile(f"{url}: expected one JSON object a line, found '{first[:80]}'; export it as JSON lines")
    if last and not _is_json(last):
        return TruncatedFile(
            f"expected a JSON object in the last line of {url}, found '{last[-80:]}' and no end of line; "
            "was the upload cut off? Land it again"
        )
    return None


def _inspect_parquet(group: FeatureGroup, url: str, filesystem: Any, path: str) -> BrokenFile | None:
    try:
        metadata = _parquet(filesystem, path)
    except Exception as error:  # noqa: BLE001 - pyarrow raises OSError, ArrowInvalid and others for damaged files
        return UnreadableFile(f"expected a Parquet file at {url}, found: {error}; land it again")
    if metadata.num_rows == 0 and group.source.empty == "fail":
        return EmptyFile(f"expected rows in {url}, found none; {_ANEW}")
    schema: pa.Schema = metadata.schema.to_arrow_schema()
    if sorted(schema.names) != sorted(group.source.columns):
        return WrongHeader(f"{url}: {_difference(list(group.source.columns), schema.names)}")
    wrong = [
        f"{name} of type {schema.field(name).type} where {kind} is declared"
        for name, kind in group.source.columns.items()
        if not _FITTING[kind](schema.field(name).type)
    ]
    if wrong:
        return WrongHeader(f"{url}: found {'; '.join(wrong)}; write the file with the declared types (times up to us)")
    return None


def _difference(expected: list[str], found: list[str]) -> str:
    lost, new = [c for c in expected if c not in found], [c for c in found if c not in expected]
    parts = [f"missing {', '.join(lost)}" if lost else "", f"unknown {', '.join(map(_quoted, new))}" if new else ""]
    detail = "; ".join(part for part in parts if part) or f"them in another order: {', '.join(found)}"
    other = next((name for mark, name in _DELIMITERS.items() if len(found) == 1 and mark in found[0]), None)
    remedy = f"the delimiter seems to be {other}: export with ','" if other else "correct the file"
    return (
        f"expected the columns {', '.join(expected)}, found {detail}; {remedy}, or source.columns in the specification"
    )


def _quoted(name: str) -> str:
    return f"'{name[:40]}'"


def _lines(part: bytes) -> list[str]:
    text = part.decode("utf-8", "ignore")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _not_utf8(part: bytes, *, whole_start: bool) -> int | None:
    """The first byte that is not UTF-8, forgiving a character cut at the edges of the chunk."""
    start = 0
    if not whole_start:
        while start < min(3, len(part)) and part[start] & 0xC0 == 0x80:
            start += 1
    try:
        part[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return part[start + error.start]
    return None


def _readable_timestamp(kind: pa.DataType) -> bool:
    return bool(arrow.is_timestamp(kind) and kind.unit != "ns")  # which Spark refuses


def _parquet(filesystem: Any, path: str) -> pq.FileMetaData:
    with filesystem.open_input_file(path) as file:
        return pq.read_metadata(file)


def _open(url: str) -> tuple[Any, str]:
    if "://" not in url:
        return fs.LocalFileSystem(), url
    filesystem, path = fs.FileSystem.from_uri(url)
    return filesystem, path


@contextmanager
def _answering(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(f"the store of landed files did not answer for {url}: {error}") from error

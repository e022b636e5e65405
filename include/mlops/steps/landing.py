"""Landed files: what has arrived, and what can be said of a file before Spark reads it.

Files are reached through Arrow's file systems, so a path may be local or an `s3://` address.
"""

from __future__ import annotations

import csv
from datetime import date
from typing import Any

import pyarrow.fs as fs
import pyarrow.parquet as pq

from include.mlops.errors import BrokenFile, EmptyFile, MissingFile, TruncatedFile, UnreadableFile, WrongEncoding, WrongHeader
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup

CHUNK = 1 << 16


def address(settings: Settings, group: FeatureGroup, ds: date) -> str:
    """Where the file of that partition lands."""
    return f"{settings.landing.rstrip('/')}/{group.path(ds)}"


def landed(url: str) -> bool:
    filesystem, path = _open(url)
    return bool(filesystem.get_file_info(path).type == fs.FileType.File)


def inspect(group: FeatureGroup, url: str) -> BrokenFile | None:
    """What is wrong with the file as a whole; None where Spark may read it."""
    filesystem, path = _open(url)
    info = filesystem.get_file_info(path)
    if info.type != fs.FileType.File:
        return MissingFile(f"expected the file {url}, found none; land it, or lower schedule.end in {group.name}")
    if info.size == 0:
        return EmptyFile(f"expected rows in {url}, found 0 bytes; was the upload cut off? Land it again")
    if group.source.format == "parquet":
        return _inspect_parquet(group, url, filesystem, path)
    with filesystem.open_input_file(path) as file:
        head: bytes = file.read(CHUNK)
        file.seek(max(0, info.size - CHUNK))
        tail: bytes = file.read(CHUNK)
    return _inspect_text(group, url, head, tail)


def _inspect_text(group: FeatureGroup, url: str, head: bytes, tail: bytes) -> BrokenFile | None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head:
        return WrongEncoding(f"expected UTF-8 text in {url}, found UTF-16 or binary data; export it as UTF-8")
    for part in (head, tail):
        broken = _not_utf8(part, whole_start=part is head)
        if broken is not None:
            return WrongEncoding(f"expected UTF-8 text in {url}, found the byte 0x{broken:02x}; export it as UTF-8")
    if group.source.format == "json":
        return None
    lines = head.decode("utf-8", "ignore").removeprefix("\ufeff").splitlines()
    header = next(csv.reader(lines[:1]))
    expected = list(group.source.columns)
    if header != expected:
        return WrongHeader(f"{url}:1: {_difference(expected, header)}")
    last = tail.decode("utf-8", "ignore").splitlines()[-1]
    if len(lines) == 1:
        return EmptyFile(f"expected rows in {url}, found a header alone; land it again")
    if not tail.endswith((b"\n", b"\r")) and len(next(csv.reader([last]))) < len(expected):
        return TruncatedFile(f"expected {len(expected)} fields in the last line of {url}, found '{last[:80]}' and no end of line")
    return None


def _inspect_parquet(group: FeatureGroup, url: str, filesystem: Any, path: str) -> BrokenFile | None:
    try:
        with filesystem.open_input_file(path) as file:
            metadata = pq.read_metadata(file)
    except Exception as error:  # noqa: BLE001 - pyarrow raises OSError, ArrowInvalid and others for damaged files
        return UnreadableFile(f"expected a Parquet file at {url}, found: {error}; land it again")
    if metadata.num_rows == 0:
        return EmptyFile(f"expected rows in {url}, found none; land it again")
    names = metadata.schema.to_arrow_schema().names
    if sorted(names) != sorted(group.source.columns):
        return WrongHeader(f"{url}: {_difference(list(group.source.columns), names)}")
    return None


def _difference(expected: list[str], found: list[str]) -> str:
    lost, new = [c for c in expected if c not in found], [c for c in found if c not in expected]
    parts = [f"missing {', '.join(lost)}" if lost else "", f"unknown {', '.join(c[:40] for c in new)}" if new else ""]
    detail = "; ".join(part for part in parts if part) or "another order"
    return f"expected the columns {', '.join(expected)}, found {detail}; correct the file, or source.columns in the specification"


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


def _open(url: str) -> tuple[Any, str]:
    if "://" not in url:
        return fs.LocalFileSystem(), url
    filesystem, path = fs.FileSystem.from_uri(url)
    return filesystem, path

"""Landed files: what has arrived, and what can be said of a file before Spark reads it.

Files are reached through Arrow's file systems, so a path may be local or an `s3://` address.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyarrow import types as arrow

from include.mlops.errors import (
    EmptyFile,
    MissingFile,
    ServiceUnavailable,
    SettingsError,
    TruncatedFile,
    UnreadableFile,
    WrongEncoding,
    WrongHeader,
)
from include.mlops.settings import Settings
from include.mlops.sources.source import Look
from include.mlops.spec.base import repeated
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.stored_files import file_system, trouble

CHUNK = 1 << 16
_ANEW = "land it again, or say `empty: allow` under source where a day may have none"
_READABLE = "write times up to us, times of day as text, decimals of up to 38 digits, floats of 32 or 64 bits"
_WRITTEN = "write the file with snappy, gzip or zstd, and without byte stream split"
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'"}


def address(settings: Settings, group: FeatureGroup, ds: date) -> str:
    """Where the file of that partition lands."""
    root = settings.landing.rstrip("/")
    return f"{root if '://' in root else Path(root).absolute()}/{group.path(ds)}"


def landed(url: str) -> bool:
    """Raises ServiceUnavailable where the store of landed files does not answer, SettingsError where it refuses us."""
    with _answering(url):
        filesystem, path = file_system(url)
        return bool(filesystem.get_file_info(path).type == fs.FileType.File)


def inspect(group: FeatureGroup, url: str) -> Look:
    """The columns of a file that Spark may read. Raises BrokenSource for what is wrong with the file as a whole."""
    with _answering(url):
        filesystem, path = file_system(url)
        info = filesystem.get_file_info(path)
        if info.type != fs.FileType.File:
            found = "a folder" if info.type == fs.FileType.Directory else "none"
            raise MissingFile(f"expected the file {url}, found {found}; land it, or lower schedule.end of {group.name}")
        allowed = group.source.empty == "allow"
        if info.size == 0 and allowed and group.source.format == "json":
            return Look(dict.fromkeys(group.source.columns), 0)
        if info.size == 0:
            raise EmptyFile(f"expected rows in {url}, found 0 bytes; was the upload cut off? Land it again")
        try:
            if group.source.format == "parquet":
                return _inspect_parquet(group, url, filesystem, path)
            with filesystem.open_input_file(path) as file:
                return _inspect_text(group, url, file, info.size)
        except PermissionError as error:
            raise UnreadableFile(
                f"expected a file that may be read at {url}, found: {error}; grant this user access"
            ) from error


def broken(url: str) -> UnreadableFile | None:
    """What is wrong with the rows of a Parquet file; None where all can be read. Memory holds one batch of them."""
    with _answering(url):
        filesystem, path = file_system(url)
        rows = 0
        try:
            with filesystem.open_input_file(path) as file:
                for batch in pq.ParquetFile(file).iter_batches():
                    rows += batch.num_rows
        except Exception as error:  # pyarrow raises OSError, ArrowInvalid and others for damaged files
            # Of what is wrong with the content, Arrow's errors bear no number.
            if isinstance(error, OSError) and (trouble(error) or error.errno):
                raise
            found = " ".join(str(error).split())
            return UnreadableFile(f"expected rows in {url}, found after {rows} of them: {found}; land it again")
    return None


def identity(url: str) -> dict[str, Any]:
    """Which file it is: `{"size":, "modified":, "sha256":}`; all None where there is none. Reads it once."""
    with _answering(url):
        filesystem, path = file_system(url)
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
        filesystem, path = file_system(url)
        info = filesystem.get_file_info(path)
    return (info.size, info.mtime_ns) == (known["size"], known["modified"])


def _inspect_text(group: FeatureGroup, url: str, file: Any, size: int) -> Look:
    head: bytes = file.read(CHUNK)
    file.seek(max(0, size - CHUNK))
    tail: bytes = file.read(CHUNK)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head + tail:
        raise WrongEncoding(f"expected UTF-8 text in {url}, found UTF-16 or binary data; export it as UTF-8")
    for part in (head, tail):
        broken = _not_utf8(part, whole_start=part is head)
        if broken is not None:
            raise WrongEncoding(f"expected UTF-8 text in {url}, found the byte 0x{broken:02x}; export it as UTF-8")
    lines = _lines(head.removeprefix(b"\xef\xbb\xbf"))
    last = "" if tail.endswith((b"\n", b"\r")) else _lines(tail)[-1]  # a whole file ends its last line
    allowed = group.source.empty == "allow"
    if group.source.format == "csv":
        return _inspect_csv(list(group.source.columns), url, lines, last, may_be_empty=allowed)
    if allowed and not any(line.strip() for line in lines):
        return Look(dict.fromkeys(group.source.columns), 0)
    keys = _inspect_json(url, lines, last)
    rare = _named_in(file, [name for name in group.source.columns if name not in keys])
    return Look(dict.fromkeys(sorted(keys | rare)))


def _inspect_csv(expected: list[str], url: str, lines: list[str], last: str, *, may_be_empty: bool) -> Look:
    header = next(csv.reader(lines[:1]), [])
    if not set(expected) & set(header):
        raise WrongHeader(f"{url}:1: {_another_header(expected, header)}")
    if twice := repeated(tuple(header)):
        raise WrongHeader(f"{url}:1: expected each column once, found twice: {', '.join(twice)}; correct the file")
    if not any(line.strip() for line in lines[1:]):
        if may_be_empty:
            return Look(dict.fromkeys(header), 0)
        raise EmptyFile(f"expected rows in {url}, found a header alone; {_ANEW}")
    fields = len(next(csv.reader([last]), [])) if last else len(header)
    if fields < len(header):
        raise TruncatedFile(
            f"expected {len(header)} fields in the last line of {url}, found '{last[:80]}' and no end of line; "
            "was the upload cut off? Land it again"
        )
    return Look(dict.fromkeys(header))


def _inspect_json(url: str, lines: list[str], last: str) -> set[str]:
    """The keys of the first records."""
    first = next((line.strip() for line in lines if line.strip()), "")
    if not first:
        raise EmptyFile(f"expected rows in {url}, found blank lines; {_ANEW}")
    if not first.startswith("{") or first == "{":
        raise UnreadableFile(f"{url}: expected one JSON object a line, found '{first[:80]}'; export it as JSON lines")
    if last and _parsed(last) is None:
        raise TruncatedFile(
            f"expected a JSON object in the last line of {url}, found '{last[-80:]}' and no end of line; "
            "was the upload cut off? Land it again"
        )
    records = (_parsed(line) for line in lines)
    return {key for record in records if isinstance(record, dict) for key in record}


def _named_in(file: Any, names: Iterable[str]) -> set[str]:
    """Those of `names` that some record far inside a file may have as a key."""
    sought = {name: json.dumps(name).encode() for name in names}
    found: set[str] = set()
    file.seek(0)
    before = b""
    while len(found) < len(sought) and (part := file.read(16 * CHUNK)):
        found |= {name for name, key in sought.items() if key in before + part}
        before = part[-256:]
    return found


def _inspect_parquet(group: FeatureGroup, url: str, filesystem: Any, path: str) -> Look:
    try:
        with filesystem.open_input_file(path) as file:
            metadata = pq.read_metadata(file)
            schema: pa.Schema = metadata.schema.to_arrow_schema()
    except Exception as error:  # pyarrow raises OSError, ArrowInvalid and others for damaged files
        if isinstance(error, OSError) and trouble(error):
            raise
        raise UnreadableFile(f"expected a Parquet file at {url}, found: {error}; land it again") from error
    if metadata.num_rows == 0 and group.source.empty == "fail":
        raise EmptyFile(f"expected rows in {url}, found none; {_ANEW}")
    if unknown := [f"{field.name} of type {field.type}" for field in schema if _refused(field.type)]:
        found = ", ".join(unknown)
        raise UnreadableFile(f"{url}: found {found}, which Spark cannot read; {_READABLE}")
    if strange := _strange(metadata, group.source.columns):
        raise UnreadableFile(f"{url}: found {strange}, which Spark cannot read; {_WRITTEN}")
    if twice := repeated(tuple(schema.names), apart_from_case=True):
        told = "expected names that differ in more than case (Spark reads them as one)"
        raise WrongHeader(f"{url}: {told}, found {', '.join(twice)}; correct the file")
    return Look({field.name: field.type for field in schema}, metadata.num_rows)


def _another_header(expected: list[str], found: list[str]) -> str:
    shown = ", ".join(f"'{name[:40]}'" for name in found) or "nothing"
    other = next((name for mark, name in _DELIMITERS.items() if len(found) == 1 and mark in found[0]), None)
    remedy = f"the delimiter seems to be {other}: export with ','" if other else "does the file lack its header?"
    return f"expected the columns {', '.join(expected)}, found {shown}; {remedy}"


def _lines(part: bytes) -> list[str]:
    text = part.decode("utf-8", "ignore")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parsed(text: str) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


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


def _refused(kind: pa.DataType) -> bool:
    """Whether the type, or one inside it, is none of Spark's."""
    in_ns = arrow.is_timestamp(kind) and kind.unit == "ns"
    too_wide = arrow.is_decimal(kind) and kind.precision > 38
    inside = (kind.field(number).type for number in range(kind.num_fields))
    return bool(in_ns or too_wide or arrow.is_time(kind) or arrow.is_float16(kind) or any(map(_refused, inside)))


def _strange(metadata: pq.FileMetaData, declared: Iterable[str]) -> str:
    """How a column that is read was written in a way that Spark does not know; empty where it knows all."""
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    read = {number: path for number, path in enumerate(paths) if path.partition(".")[0] in declared}
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for number, path in read.items():
            part = group.column(number)
            if strange := {"BROTLI", "LZO", "BYTE_STREAM_SPLIT"} & {part.compression, *part.encodings}:
                return f"{path} written with {min(strange)}"
    return ""


@contextmanager
def _answering(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if trouble(error) == "refused":
            raise SettingsError(
                f"the store of landed files (MLOPS_LANDING_URL) refused us {url}: {error}; let this user list and read "
                "what lands, or correct the address"
            ) from error
        raise ServiceUnavailable(f"the store of landed files did not answer for {url}: {error}") from error

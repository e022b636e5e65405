"""Files on a disk or in an object store, by path or address. A reader sees an old file or a new one, never a part."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pyarrow import fs

_SCHEMES = {"s3a": "s3", "s3n": "s3"}  # Hadoop's names for the same
_IN_MEMORY = 16 << 20
_REFUSED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "HTTP status 403", "NO_SUCH_BUCKET")


@dataclass(frozen=True)
class Listed:
    """A file below a folder: its path from there, bytes, and when it was written (ns since 1970)."""

    path: str
    size: int
    written: int


def trouble(error: OSError) -> Literal["full", "refused", "passing"] | None:
    """What a file system's error means: it has no room left, it lets us not in, or S3 does not answer for now.

    Arrow gives all of S3's answers as plain OSErrors, which only their texts tell apart. None for any other error.
    """
    text = str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT} or "No space left" in text:
        return "full"
    if isinstance(error, PermissionError) or any(code in text for code in _REFUSED):
        return "refused"
    return "passing" if "AWS Error" in text or "curlCode" in text else None


def file_system(url: str) -> tuple[fs.FileSystem, str]:
    """That of a local path or of an address such as `s3://`, and the path on it.

    Raises what Arrow raises: pa.ArrowInvalid for an address that is none, OSError.
    """
    if "://" not in url:
        return fs.LocalFileSystem(), url
    scheme, rest = url.split("://", 1)
    if scheme == "file":
        return fs.LocalFileSystem(), rest
    # Names may hold what an address would have to encode, as pyiceberg and MLflow write them: only their bucket is one.
    found = re.fullmatch(r"([^/?]*)([^?]*|.*?)(\?\w+=.*)?", rest)
    assert found, "matches anything"
    bucket, name, options = found.groups(default="")
    filesystem, base = fs.FileSystem.from_uri(f"{_SCHEMES.get(scheme, scheme)}://{bucket}{options}")
    return filesystem, f"{base}{name}".rstrip("/")


def entries(url: str) -> int:
    """How many files and folders lie in a folder; none where there is no folder yet. Raises OSError."""
    filesystem, path = file_system(url)
    return len(filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True)))


def listing(url: str) -> list[Listed]:
    """All files below a folder, by path; none where there is no folder yet. Raises OSError."""
    filesystem, path = file_system(url)
    found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    above = len(path.rstrip("/")) + 1
    files = (Listed(one.path[above:], one.size, one.mtime_ns or 0) for one in found if one.type == fs.FileType.File)
    return sorted(files, key=lambda file: file.path)


def size_of(url: str) -> int | None:
    """Bytes of a file; None where there is none. Raises OSError."""
    filesystem, path = file_system(url)
    found = filesystem.get_file_info(path)
    return found.size if found.type == fs.FileType.File else None


def read_whole(url: str) -> pa.Buffer:
    """The content as it is now. Memory holds small files alone: of a large one it is a map of a copy on this disk.

    Raises FileNotFoundError, OSError.
    """
    filesystem, path = file_system(url)
    with filesystem.open_input_file(path) as source:
        if source.size() <= _IN_MEMORY:
            return source.read_buffer()
        with tempfile.NamedTemporaryFile() as copy:
            while block := source.read(_IN_MEMORY):
                copy.write(block)
            copy.flush()
            return pa.memory_map(copy.name).read_buffer()  # the map outlives the name


def remove_file(url: str) -> None:
    """Where it is there. Raises OSError."""
    filesystem, path = file_system(url)
    if filesystem.get_file_info(path).type == fs.FileType.File:
        filesystem.delete_file(path)


def ensure_bucket(url: str) -> bool:
    """Create the bucket of an address s3://bucket/path, if it is not there; true if it was created. Raises OSError."""
    bucket = url.partition("://")[2].partition("/")[0]
    filesystem, path = fs.FileSystem.from_uri(f"s3://{bucket}?allow_bucket_creation=true")
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        return False
    filesystem.create_dir(path)
    return True


def remove_folder(url: str) -> None:
    """With all that is in it, where it is there. Raises OSError."""
    filesystem, path = file_system(url)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


def takes_files(url: str) -> None:
    """Write a file into a folder and delete it again. Raises OSError, pa.ArrowInvalid."""
    name = f".{uuid.uuid4().hex}.probe"
    write_whole(f"{url.rstrip('/')}/{name}", b"written by the doctor")
    filesystem, path = file_system(url)
    filesystem.delete_file(f"{path.rstrip('/')}/{name}")


def write_whole(url: str, content: bytes | pa.Buffer) -> None:
    """On a disk beside its place and renamed into it; in an object store it appears when its upload is complete.

    Raises OSError, and pa.ArrowInvalid for an address that is none.
    """
    filesystem, path = file_system(url)
    if isinstance(filesystem, fs.LocalFileSystem):
        _write_beside(Path(path), content)
        return
    with filesystem.open_output_stream(path) as stream:
        stream.write(content)  # whole at once: a stream that is closed early would leave a part


def _write_beside(path: Path, content: bytes | pa.Buffer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # a leading dot hides it from readers of folders
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

"""Files on a disk or in an object store, by path or address. A reader sees an old file or a new one, never a part."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

_SCHEMES = {"s3a": "s3", "s3n": "s3"}  # Hadoop's names for the same


def file_system(url: str) -> tuple[fs.FileSystem, str]:
    """That of a local path or of an address such as `s3://`, and the path on it.

    Raises what Arrow raises: pa.ArrowInvalid for an address that is none, OSError.
    """
    if "://" not in url:
        return fs.LocalFileSystem(), url
    scheme, rest = url.split("://", 1)
    filesystem, path = fs.FileSystem.from_uri(f"{_SCHEMES.get(scheme, scheme)}://{rest}")
    return filesystem, path


def entries(url: str) -> int:
    """How many files and folders lie in a folder; none where there is no folder yet. Raises OSError."""
    filesystem, path = file_system(url)
    return len(filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True)))


def exists(url: str) -> bool:
    """Whether a file is there. Raises OSError."""
    filesystem, path = file_system(url)
    return bool(filesystem.get_file_info(path).type == fs.FileType.File)


def read_whole(url: str) -> bytes:
    """Raises OSError."""
    filesystem, path = file_system(url)
    with filesystem.open_input_file(path) as file:
        return bytes(file.read())


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

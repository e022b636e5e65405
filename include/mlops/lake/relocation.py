"""A table's metadata for another place: the addresses in it are whole ones, so a table that moves takes new ones.

Rows, snapshots, their ids, tags and statistics stay as they are; data files are not touched. What Iceberg's metadata
names: https://iceberg.apache.org/spec/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

from pyiceberg.avro.file import AvroFile, AvroOutputFile
from pyiceberg.io import InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import StructType

from include.mlops.errors import MlopsError
from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake
from include.mlops.lake.reachable import TableFile, canonical

_PATHS = ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path")
_MANIFEST_PATH, _MANIFEST_LENGTH, _DATA_FILE, _FILE_PATH, _REFERENCED = 500, 501, 2, 100, 143  # ids that the spec gives


class Move:
    """From one place of a table to another. A call gives an address its new form."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = canonical(old), new.rstrip("/")

    def address(self, path: str) -> str:
        """Of a file by its path from the table's place."""
        return f"{self._new}/{path}"

    def __call__(self, address: str) -> str:
        found = canonical(address)
        if found == self._old:
            return self._new
        if not found.startswith(f"{self._old}/"):
            raise MlopsError(f"expected an address below {self._old} in the table's metadata, found {address}")
        return self._new + found.removeprefix(self._old)


def relocated(files: Sequence[TableFile], move: Move, read: Callable[[str], bytes]) -> Iterator[tuple[str, bytes]]:
    """The new address and content of each file of a table that holds addresses, those first that others name; the last
    is the metadata. `read` gives the content of a file by its path.
    """
    sizes: dict[str, int] = {}
    changes: Mapping[str, Callable[[bytes], bytes]] = {
        "manifest": lambda content: _manifest(content, move),
        "list": lambda content: _list(content, move, sizes),
        "metadata": lambda content: _metadata(content, move),
    }
    for kind, change in changes.items():
        for file in files:
            if file.kind == kind:
                address, content = move.address(file.path), change(read(file.path))
                sizes[address] = len(content)
                yield address, content


def _metadata(content: bytes, move: Move) -> bytes:
    """The metadata file itself. It forgets earlier ones, which did not move."""
    found: dict[str, Any] = json.loads(content)
    found["location"] = move(found["location"])
    found["metadata-log"] = []
    found["properties"] = {name: value for name, value in found.get("properties", {}).items() if name not in _PATHS}
    for snapshot in found.get("snapshots", []):
        snapshot["manifest-list"] = move(snapshot["manifest-list"])
    for statistics in found.get("statistics", []):
        statistics["statistics-path"] = move(statistics["statistics-path"])
    found["partition-statistics"] = []  # engines compute them again
    return json.dumps(found).encode()


def _list(content: bytes, move: Move, sizes: Mapping[str, int]) -> bytes:
    """A snapshot's list of manifests; `sizes` are those of the moved manifests, by their new address."""

    def change(record: Record, schema: Schema) -> None:
        path, length = _place(schema.as_struct(), _MANIFEST_PATH), _place(schema.as_struct(), _MANIFEST_LENGTH)
        record[path] = move(record[path])
        record[length] = sizes[record[path]]

    return _rewritten(content, "manifest_file", change)


def _manifest(content: bytes, move: Move) -> bytes:
    """A list of data files."""

    def change(record: Record, schema: Schema) -> None:
        at = _place(schema.as_struct(), _DATA_FILE)
        data_file, kind = record[at], schema.fields[at].field_type
        assert isinstance(kind, StructType)
        for field in kind.fields:
            if field.field_id in (_FILE_PATH, _REFERENCED):
                place = _place(kind, field.field_id)
                if data_file[place]:
                    data_file[place] = move(data_file[place])

    return _rewritten(content, "manifest_entry", change)


def register(lake: Lake, name: str, metadata: str) -> None:
    """Make the catalog name that metadata file; where it does so already, nothing changes.

    Raises MlopsError where it names another under that name.
    """
    lake.create_namespace(name)
    with available():
        if not lake.catalog.table_exists(name):
            lake.catalog.register_table(name, metadata)
        elif (found := lake.catalog.load_table(name).metadata_location) != metadata:
            raise MlopsError(
                f"expected no table {name} in the catalog, found one at {found}; restore into an empty one"
            )


def _place(struct: StructType, field_id: int) -> int:
    return next(place for place, field in enumerate(struct.fields) if field.field_id == field_id)


def _rewritten(content: bytes, name: str, change: Callable[[Record, Schema], None]) -> bytes:
    """The Avro file with its own schema and properties, and every record changed."""
    with AvroFile[Record](_Given(content)) as source:
        records = list(source)
        schema, properties = source.schema, dict(source.header.meta)
    for record in records:
        change(record, schema)
    target = _Taken()
    with AvroOutputFile[Record](target, schema, name, metadata=properties) as output:
        output.write_block(records)
    return target.content


class _Given(InputFile):
    """Bytes that are here already."""

    def __init__(self, content: bytes) -> None:
        super().__init__("memory:")
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def exists(self) -> bool:
        return True

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002, FBT001, FBT002 - pyiceberg's own signature
        return BytesIO(self._content)


class _Taken(OutputFile):
    """Bytes that stay here."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self.content = b""

    def __len__(self) -> int:
        return len(self.content)

    def exists(self) -> bool:
        return bool(self.content)

    def to_input_file(self) -> InputFile:
        return _Given(self.content)

    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: ARG002, FBT001, FBT002 - pyiceberg's own signature
        return _Stream(self)


class _Stream(BytesIO):
    def __init__(self, target: _Taken) -> None:
        super().__init__()
        self._target = target

    def close(self) -> None:
        if not self.closed:
            self._target.content = self.getvalue()
        super().close()

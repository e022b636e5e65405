"""What a table consists of: its current metadata, and every file that this names, by path from the table's own place.

Iceberg never changes a file, so what one metadata file names is one consistent state, whoever commits meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestFile
from pyiceberg.table import Table

from include.mlops.errors import MlopsError
from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake
from include.mlops.lake.views import has_latest

Kind = Literal["metadata", "list", "manifest", "data"]
_AT_ONCE = 8


@dataclass(frozen=True)
class TableFile:
    """`size` in bytes is what the table says of it, None where it says nothing."""

    path: str
    kind: Kind
    size: int | None


@dataclass(frozen=True)
class TableState:
    """A table at one moment; the first of its files is the metadata that names all others."""

    name: str
    location: str
    files: tuple[TableFile, ...]
    latest: bool  # whether it has a view of its newest day

    def address(self, file: TableFile) -> str:
        return f"{self.location}/{file.path}"


def state_of(lake: Lake, name: str) -> TableState:
    """Raises MlopsError where a file lies elsewhere than in the table's place, or marks rows as deleted."""
    table = lake.table(name)
    with available():
        files = (
            TableFile(table.metadata_location, "metadata", None),
            *(TableFile(file.statistics_path, "data", file.file_size_in_bytes) for file in table.metadata.statistics),
            *_of_snapshots(name, table),
        )
        latest = has_latest(lake, name)
    within = (TableFile(_within(name, table.location(), file.path), file.kind, file.size) for file in files)
    return TableState(name, canonical(table.location()), tuple(dict.fromkeys(within)), latest)


def canonical(address: str) -> str:
    """One spelling of the many: `file:///`, which Hadoop writes as `file:/`, and `s3://`, which it calls `s3a://`."""
    if address.startswith("/"):
        address = f"file://{address}"
    return re.sub(r"^s3[an]://", "s3://", re.sub(r"^file:/(?!//)", "file:///", address)).rstrip("/")


def _of_snapshots(name: str, table: Table) -> Iterable[TableFile]:
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.snapshots():
        yield TableFile(snapshot.manifest_list, "list", None)
        manifests |= {manifest.manifest_path: manifest for manifest in snapshot.manifests(table.io)}
    with ThreadPoolExecutor(_AT_ONCE) as several:
        for manifest, files in several.map(lambda one: (one, _of_manifest(name, table.io, one)), manifests.values()):
            yield TableFile(manifest.manifest_path, "manifest", manifest.manifest_length)
            yield from files


def _of_manifest(name: str, io: FileIO, manifest: ManifestFile) -> list[TableFile]:
    files = [entry.data_file for entry in manifest.fetch_manifest_entry(io, discard_deleted=True)]
    if any(file.content == DataFileContent.POSITION_DELETES for file in files):
        raise MlopsError(
            f"expected no delete files in {name}, found some: they hold addresses, which would be wrong elsewhere; "
            f"rewrite them first (CALL lake.system.rewrite_data_files(table => '{name}', options => "
            "map('delete-file-threshold', '1'))) and expire the snapshots that name them"
        )
    return [TableFile(file.file_path, "data", file.file_size_in_bytes) for file in files]


def _within(name: str, location: str, address: str) -> str:
    place, found = canonical(location) + "/", canonical(address)
    if not found.startswith(place):
        raise MlopsError(
            f"expected every file of {name} below {place}, found {found}; a backup keeps tables whose files are "
            "together: rewrite that table, or drop it"
        )
    return found.removeprefix(place)

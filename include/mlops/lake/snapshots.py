"""What a table's snapshots name: its data files, and the manifests that list them.

Expiry and erasure both ask what no kept snapshot names, and delete that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from typing import cast

from pyarrow import fs
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from include.mlops.errors import MlopsError
from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake, commit, is_ours

OURS = (("features",), ("predictions",), ("quarantine",))
"""Namespaces."""


def tables(lake: Lake) -> list[str]:
    """Every table that we write, by name. The catalog may hold others, which their owners look after, and views."""
    with available():
        spaces = [space for space in lake.catalog.list_namespaces() if space in OURS]
        names = [".".join(name) for space in spaces for name in lake.catalog.list_tables(space)]
        return sorted(name for name in names if _is_ours(lake.catalog, name))


def _is_ours(catalog: Catalog, name: str) -> bool:
    """A table, no view, that was made here."""
    try:
        return is_ours(catalog.load_table(name))
    except NoSuchTableError:
        return False
    except FileNotFoundError:  # of a table that has lost its metadata, as whoever reads it is told
        return True


def pinned(table: Table) -> set[int]:
    """The snapshots that readers can name: what they see now, and what tags and branches hold."""
    return {ref.snapshot_id for ref in table.refs().values()}


def older_than(table: Table, before: datetime, kept: Collection[int] = ()) -> set[int]:
    """Snapshots, staged ones included, that were made before that time, are not pinned, and are not among `kept`.

    What a younger one was made upon stays too: a staged one is published by what changed since.
    """
    limit = before.timestamp() * 1000
    old = {snapshot.snapshot_id for snapshot in table.snapshots() if snapshot.timestamp_ms < limit}
    bases = {s.parent_snapshot_id for s in table.snapshots() if s.timestamp_ms >= limit}
    return old - pinned(table) - bases - set(kept)


def files_of(table: Table, ids: Collection[int], *, perhaps_gone: bool = False) -> dict[str, None]:
    """Addresses of the files that those snapshots name: data first, then manifests, then the lists of manifests.

    `perhaps_gone` passes over what somebody deleted already.
    """
    chosen = [snapshot for snapshot in table.snapshots() if snapshot.snapshot_id in ids]
    manifests: dict[str, ManifestFile] = {}
    for snapshot in chosen:
        for manifest in manifests_of(table, snapshot, perhaps_gone=perhaps_gone):
            manifests[manifest.manifest_path] = manifest
    data = [
        entry.data_file.file_path
        for one in manifests.values()
        for entry in entries_of(table, one, perhaps_gone=perhaps_gone)
    ]
    return dict.fromkeys([*data, *manifests, *(snapshot.manifest_list for snapshot in chosen)])


def unreachable(table: Table, ids: Collection[int], *, perhaps_gone: bool = False) -> list[str]:
    """Paths of the files that only snapshots among `ids` name."""
    others = {snapshot.snapshot_id for snapshot in table.snapshots()} - set(ids)
    kept = _paths(table, files_of(table, others))
    return [path for path in _paths(table, files_of(table, ids, perhaps_gone=perhaps_gone)) if path not in kept]


def forget(lake: Lake, name: str, ids: Collection[int]) -> None:
    """Take the snapshots off the table's list, in one commit; those that are pinned stay."""

    def expire() -> None:
        table = lake.table(name)
        known = {snapshot.snapshot_id for snapshot in table.snapshots()}
        if left := (set(ids) & known) - pinned(table):
            table.maintenance.expire_snapshots().by_ids(sorted(left)).commit()

    commit(expire)


def delete(table: Table, paths: Iterable[str]) -> int:
    """Those that are there, in that order. Returns their number."""
    filesystem = _filesystem(table)
    done = 0
    for path in paths:
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)
            done += 1
    return done


def expire(lake: Lake, name: str, ids: Collection[int]) -> int:
    """Forget the snapshots, then delete what only they named. Returns the number of deleted files.

    Killed between the two it leaves files that `orphans` finds.
    """
    if not ids:
        return 0
    doomed = unreachable(lake.table(name), ids)
    forget(lake, name, ids)
    return delete_unnamed(lake, name, doomed)


def delete_unnamed(lake: Lake, name: str, paths: Iterable[str]) -> int:
    """Those that no snapshot names as the table is now. Returns the number of deleted files."""
    table = lake.table(name)
    kept = _paths(table, files_of(table, {snapshot.snapshot_id for snapshot in table.snapshots()}))
    return delete(table, [path for path in paths if path not in kept])


def orphans(lake: Lake, name: str, before: datetime) -> list[str]:
    """Paths of the files in the table's folder that were last written before that time and that nothing names.

    Raises MlopsError where the folder does not show the table's own files: its address must be read differently.
    """
    table = lake.table(name)
    current, listed = table.current_snapshot(), _listed(table)
    if current and path_of(table, current.manifest_list) not in listed:
        raise MlopsError(
            f"expected the files of {name} under {table.location()}, found no {current.manifest_list} there; "
            "nothing was deleted: was the warehouse moved?"
        )
    table = lake.table(name)  # after the listing: what was committed meanwhile is named
    named = _paths(table, _named(table))
    return [path for path, written in listed.items() if written < before and path not in named]


def day_of(value: object) -> date:
    """Of a partition's value, which Iceberg keeps as days since 1970."""
    return value if isinstance(value, date) else date.fromordinal(date(1970, 1, 1).toordinal() + int(str(value)))


def path_of(table: Table, url: str) -> str:
    """An address as its file system knows it, whichever engine wrote it: `s3a://`, `file:/` or `file:///`."""
    path: str = PyArrowFileIO.parse_location(url, table.io.properties)[2]
    return path


def _paths(table: Table, urls: Iterable[str]) -> dict[str, None]:
    """In their order, each once."""
    return dict.fromkeys(path_of(table, url) for url in urls)


def _named(table: Table) -> Iterator[str]:
    yield from files_of(table, {snapshot.snapshot_id for snapshot in table.snapshots()})
    yield from (entry.metadata_file for entry in table.metadata.metadata_log)
    yield table.metadata_location
    yield from (one.statistics_path for one in table.metadata.statistics)
    yield from (one.statistics_path for one in table.metadata.partition_statistics)


def _listed(table: Table) -> dict[str, datetime]:
    """All files in the table's folder, and when each was last written."""
    folder = fs.FileSelector(path_of(table, table.location()), recursive=True, allow_not_found=True)
    found = _filesystem(table).get_file_info(folder)
    return {one.path: one.mtime for one in found if one.type == fs.FileType.File}


def manifests_of(table: Table, snapshot: Snapshot, *, perhaps_gone: bool = False) -> list[ManifestFile]:
    try:
        return snapshot.manifests(table.io)
    except FileNotFoundError:
        if not perhaps_gone:
            raise
        return []


def entries_of(table: Table, manifest: ManifestFile, *, perhaps_gone: bool = False) -> list[ManifestEntry]:
    """Those that are not marked as deleted."""
    try:
        return manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    except FileNotFoundError:
        if not perhaps_gone:
            raise
        return []


def _filesystem(table: Table) -> fs.FileSystem:
    io = cast("PyArrowFileIO", table.io)
    scheme, netloc, _ = io.parse_location(table.location(), io.properties)
    return io.fs_by_scheme(scheme, netloc)

"""Erasing rows from a table: from what readers see, and from every snapshot that a tag holds.

A file that holds such rows is written once without them, and takes the old one's place in each snapshot that had it, so
that tags go on sharing their files. Older snapshots are forgotten, and what only they named is deleted, at once.
pyiceberg's own delete (0.12) would write a file again for each tag, and leaves the old file's least and greatest
values in a manifest.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.expressions.visitors import _InclusiveMetricsEvaluator
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files
from pyiceberg.manifest import DataFile, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update.snapshot import _OverwriteFiles

from include.mlops.lake import snapshots
from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake, commit
from include.mlops.lake.matching import Match

_BRANCH = "erasing_"
"""Before the name of a branch on which a tag's next snapshot is made."""
ERASURE = "mlops.erasure"
"""The property of a snapshot that an erasure made; its number."""


@dataclass(frozen=True)
class Held:
    """Rows by day: those that readers see (`rows`), and those of each tag. `elsewhere`: some lie in other snapshots."""

    rows: Mapping[date, int] = field(default_factory=dict)
    tags: Mapping[str, Mapping[date, int]] = field(default_factory=dict)
    elsewhere: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.tags or self.elsewhere)


@available()
def held(lake: Lake, name: str, match: Match) -> Held:
    """What there is to erase."""
    table = lake.table(name)
    hits = _Hits(match).within(table)
    if not hits:
        return Held()
    found: dict[str, Counter[date]] = {}
    for ref, pointer in table.refs().items():
        days: Counter[date] = Counter()
        for file in _live(table, _at(table, pointer.snapshot_id)):
            if number := hits.get(file.file_path):
                days[snapshots.day_of(file.partition[0])] += number
        if days:
            found[ref] = days
    rows = found.pop(MAIN_BRANCH, Counter())
    return Held(dict(rows), {ref: dict(days) for ref, days in found.items()}, elsewhere=True)


@available()
def erase(lake: Lake, name: str, match: Match, number: int) -> None:
    """Write every ref without those rows, forget all other snapshots, and delete the files that held them.

    Killed anywhere and done again, the table ends the same. `number` is that of the erasure. What other writers staged
    and did not publish is forgotten too. Raises ServiceUnavailable where other writers kept the table busy, or the
    catalog or the store did not answer, SettingsError where they refused.
    """
    work = _Erasing(lake, name, match, number)
    for ref, pointer in lake.table(name).refs().items():
        if ref.startswith(_BRANCH):
            work.drop(ref)
        elif pointer.snapshot_ref_type == SnapshotRefType.BRANCH:
            commit(partial(work.replace_files, ref))
        else:
            work.move_tag(ref)
    table = lake.table(name)
    others = {snapshot.snapshot_id for snapshot in table.snapshots()} - snapshots.pinned(table)
    # Snapshots first: a staged one that is published meanwhile stays whole, and afterwards none can be published.
    with _noted(table, number, snapshots.unreachable(table, others, perhaps_gone=True)) as paths:
        snapshots.forget(lake, name, others)
        snapshots.delete_unnamed(lake, name, paths)


def erasure_of(lake: Lake, name: str, snapshot_id: int) -> int | None:
    """The number of the erasure that made the snapshot; None where none did."""
    snapshot = lake.table(name).snapshot_by_id(snapshot_id)
    told = snapshot.summary.additional_properties.get(ERASURE) if snapshot and snapshot.summary else None
    return int(told) if told else None


class _Hits:
    """How many such rows each file holds. A file is read once."""

    def __init__(self, match: Match) -> None:
        self._match = match
        self._known: dict[str, int] = {}

    def within(self, table: Table) -> dict[str, int]:
        """{file: rows} of all snapshots; a file that is gone holds none."""
        might = _InclusiveMetricsEvaluator(table.schema(), self._match.could_be).eval
        for file in _all_files(table):
            if file.file_path not in self._known:
                self._known[file.file_path] = self._count(table, file) if might(file) else 0
        return {path: number for path, number in self._known.items() if number}

    def _count(self, table: Table, file: DataFile) -> int:
        try:
            return pc.sum(self._match.hits(_read(table, file))).as_py() or 0
        except FileNotFoundError:
            return 0


class _Erasing:
    """One table; what was written for one of its refs serves the others."""

    def __init__(self, lake: Lake, name: str, match: Match, number: int) -> None:
        self._lake, self._name, self._match, self._number = lake, name, match, number
        self._hits = _Hits(match)
        self._written: dict[str, list[DataFile]] = {}

    def drop(self, branch: str) -> None:
        """What a killed erasure left."""
        commit(lambda: self._lake.table(self._name).manage_snapshots().remove_branch(branch).commit())

    def move_tag(self, tag: str) -> None:
        """Iceberg writes on branches alone: so one is made of the tag, and the tag then set to its head."""
        table = self._lake.table(self._name)
        tagged = table.refs()[tag].snapshot_id
        if not _concerned(table, _at(table, tagged), self._hits.within(table)):
            return
        branch = f"{_BRANCH}{uuid.uuid4().hex[:8]}"
        commit(lambda: self._lake.table(self._name).manage_snapshots().create_branch(tagged, branch).commit())
        commit(partial(self.replace_files, branch))
        commit(partial(self._to_head, tag, branch))

    def replace_files(self, branch: str) -> None:
        table = self._lake.table(self._name)
        snapshot = _at(table, table.refs()[branch].snapshot_id)
        hits = self._hits.within(table)
        if not _concerned(table, snapshot, hits):
            return
        properties = {ERASURE: str(self._number)}
        with table.transaction() as transaction:
            producer = _WithoutTraces(Operation.OVERWRITE, transaction, table.io, None, properties, branch)
            with producer as change:
                for file in _live(table, snapshot):
                    if file.file_path in hits:
                        change.delete_data_file(file)
                        for other in self._without(table, file):
                            change.append_data_file(other)

    def _to_head(self, tag: str, branch: str) -> None:
        table = self._lake.table(self._name)
        table.manage_snapshots().create_tag(table.refs()[branch].snapshot_id, tag).remove_branch(branch).commit()

    def _without(self, table: Table, file: DataFile) -> list[DataFile]:
        if file.file_path not in self._written:
            rows = _read(table, file)
            left = rows.filter(pc.invert(self._match.hits(rows)))
            files = _dataframe_to_data_files(table.metadata, left, table.io) if left.num_rows else ()
            self._written[file.file_path] = list(files)
        return self._written[file.file_path]


class _WithoutTraces(_OverwriteFiles):
    """An overwrite whose manifests do not name the files that are gone, with the least and greatest of their values."""

    def _deleted_entries(self) -> list[ManifestEntry]:
        super()._deleted_entries()  # raises where a file is not there any more
        return []

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        return [kept for one in manifests if (kept := self._without_deleted(one))]

    def _without_deleted(self, manifest: ManifestFile) -> ManifestFile | None:
        if not (manifest.has_added_files() or manifest.has_existing_files()):
            return None
        if not manifest.deleted_files_count:
            return manifest
        with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
            for entry in manifest.fetch_manifest_entry(self._io, discard_deleted=True):
                writer.existing(entry)
        return writer.to_manifest_file()


@contextmanager
def _noted(table: Table, number: int, paths: list[str]) -> Iterator[list[str]]:
    """Those paths, and what a killed run of the same erasure noted: files of snapshots that nothing names any more."""
    place = f"{table.location()}/metadata/erasure-{number}.txt"
    note = table.io.new_input(place)
    if note.exists():
        with note.open() as file:
            paths = list(dict.fromkeys([*file.read().decode().splitlines(), *paths]))
    with table.io.new_output(place).create(overwrite=True) as file:
        file.write("\n".join(paths).encode())
    yield paths
    table.io.delete(place)


def _all_files(table: Table) -> Iterator[DataFile]:
    seen: set[str] = set()
    for snapshot in table.snapshots():
        yield from _live(table, snapshot, seen)


def _live(table: Table, snapshot: Snapshot, seen: set[str] | None = None) -> Iterator[DataFile]:
    """Files of a snapshot; with `seen` those of its manifests and files that were not seen before."""
    for manifest in snapshots.manifests_of(table, snapshot, perhaps_gone=seen is not None):
        if seen is not None and manifest.manifest_path in seen:
            continue
        for entry in snapshots.entries_of(table, manifest, perhaps_gone=seen is not None):
            if seen is None or entry.data_file.file_path not in seen:
                yield entry.data_file
            if seen is not None:
                seen.add(entry.data_file.file_path)
        if seen is not None:
            seen.add(manifest.manifest_path)


def _concerned(table: Table, snapshot: Snapshot, hits: Collection[str]) -> bool:
    """Whether a snapshot names files that hold such rows, or deleted ones, which may have."""
    return any(
        entry.data_file.file_path in hits or entry.status == ManifestEntryStatus.DELETED
        for manifest in snapshots.manifests_of(table, snapshot)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False)
    )


def _read(table: Table, file: DataFile) -> pa.Table:
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    return scan.to_table([FileScanTask(file)])


def _at(table: Table, snapshot_id: int) -> Snapshot:
    snapshot = table.snapshot_by_id(snapshot_id)
    assert snapshot is not None, "a ref holds it"
    return snapshot

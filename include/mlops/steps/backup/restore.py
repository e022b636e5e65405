"""Restore: the other way round. Files first, then who refers to them, the ledger last: until then nothing is published.

Meanwhile the ledger says that it waits for this point, so no task runs. A restore that was cut short is gone on with.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from include.mlops.errors import BackupUnusable, SettingsError
from include.mlops.steps.backup.backup import AT_ONCE, Tell
from include.mlops.steps.backup.place import Place, answering
from include.mlops.steps.backup.point import Kept, KeptFile, KeptRows, KeptTable, Point
from include.mlops.steps.platform import Platform
from include.mlops.stored_files import entries, listing, size_of, write_whole


def check(url: str, name: str, tell: Tell) -> Point:
    """Read every content of a point and compare it with its checksum. Raises BackupUnusable for a damaged one."""
    place = Place(url)
    point = place.point(name)
    place.require_whole(point)
    contents = list(point.contents())
    with ThreadPoolExecutor(AT_ONCE) as several:
        for _ in several.map(lambda one: place.content(*one) and None, contents):
            pass
    tell(f"{point.name}: {len(contents)} contents, all as they were kept")
    return point


def restore(platform: Platform, url: str, name: str, tell: Tell) -> Point:
    """Put a point, or the newest, into the places that the settings name.

    Raises BackupUnusable where the backup is damaged, or where one of those places holds something already that no
    earlier try of the same restore put there.
    """
    place = Place(url)
    point = place.point(name)
    place.require_whole(point)
    _begin(platform, point)
    restoring = _Restoring(platform, place, tell)
    restoring.artifacts(point.artifacts)
    metadata = {table.name: restoring.files(table) for table in point.tables}
    restoring.registry(point.registry)
    restoring.register(point.tables, metadata)
    platform.opened_ledger.restore(point.ledger.revision, restoring.lines("ledger", point.ledger))
    restoring.told("ledger", point.ledger)
    return point


def _begin(platform: Platform, point: Point) -> None:
    """Mark the ledger, where nothing but an earlier try of this point is in any place."""
    settings, begun = platform.settings, platform.opened_ledger.restoring()
    if settings.catalog_kind == "rest" and not settings.warehouse_url:
        raise SettingsError("expected MLOPS_WAREHOUSE_URL to say where the restored tables' files go, found nothing")
    platform.registry_store.require_restorable(point.registry.revision)
    if begun == point.name:
        return
    if begun:
        raise BackupUnusable(
            f"expected no other restore on its way, found that of {begun}; go on with it (--point {begun}), or empty "
            "ledger, catalog, warehouse, and MLflow's database and files"
        )
    if held := _held(platform):
        raise BackupUnusable(
            f"expected empty places to restore into, found {'; '.join(held)}; name others, or empty these"
        )
    platform.opened_ledger.await_restore(point.name, point.ledger.revision)


def _held(platform: Platform) -> list[str]:
    """What is there already, a line for each place."""
    from include.mlops.lake import snapshots

    settings = platform.settings
    tables = snapshots.tables(platform.lake)
    runs, rows = platform.registry_store.counts(), platform.opened_ledger.counts()
    found = {
        f"the catalog's tables {', '.join(tables[:5])}": bool(tables),
        f"files in the warehouse {settings.warehouse}": _has_files(settings.warehouse),
        f"MLflow's rows in {', '.join(runs)}": bool(runs),
        f"MLflow's files in {settings.mlflow_artifacts}": _has_files(settings.mlflow_artifacts),
        f"the ledger's rows in {', '.join(rows)}": bool(rows),
    }
    return [what for what, there in found.items() if there]


def _has_files(url: str) -> bool:
    with answering(url):
        return bool(entries(url) and listing(url))


class _Restoring:
    """One restore on its way; each part is left alone where an earlier try finished it."""

    def __init__(self, platform: Platform, place: Place, tell: Tell) -> None:
        self._platform, self._place, self._tell = platform, place, tell

    def artifacts(self, files: tuple[KeptFile, ...]) -> None:
        self._copy("MLflow's files", self._platform.settings.mlflow_artifacts.rstrip("/"), files)

    def files(self, table: KeptTable) -> str:
        """All files of a table, those with addresses in them rewritten. Returns the address of its metadata."""
        from include.mlops.lake.reachable import TableFile
        from include.mlops.lake.relocation import Move, relocated

        target = f"{self._platform.settings.warehouse.rstrip('/')}/{table.name.replace('.', '/')}"
        self._copy(table.name, target, tuple(file for file in table.files if file.kind == "data"))
        kept = {file.path: file for file in table.files}

        def read(path: str) -> bytes:
            return bytes(self._place.content(f"{table.name}: {path}", kept[path]))

        address = ""
        files = [TableFile(file.path, file.kind, file.size) for file in table.files]
        for address, content in relocated(files, Move(table.location, target), read):
            with answering(target):
                write_whole(address, content)
        return address

    def register(self, tables: tuple[KeptTable, ...], metadata: Mapping[str, str]) -> None:
        from include.mlops.lake.relocation import register
        from include.mlops.lake.views import ensure_latest

        for table in tables:
            register(self._platform.lake, table.name, metadata[table.name])
            if table.latest:
                ensure_latest(self._platform.lake, table.name)
        self._tell(f"catalog: {len(tables)} tables")

    def registry(self, kept: KeptRows) -> None:
        store, whose = self._platform.registry_store, "MLflow"
        held = store.counts()
        if not held:
            store.restore(kept.revision, self.lines(whose, kept))
        elif any(kept.rows.get(table) != number for table, number in held.items()):
            raise BackupUnusable(
                "expected MLflow's database as the restore that was cut short left it, found other rows in "
                f"{', '.join(held)}; who wrote there? Empty it, and restore again"
            )
        self.told(whose, kept)

    def told(self, whose: str, kept: KeptRows) -> None:
        self._tell(f"{whose}: {sum(kept.rows.values())} rows of {len(kept.rows)} tables")

    def lines(self, whose: str, kept: KeptRows) -> dict[str, Callable[[], Iterator[bytes]]]:
        return {table: self._lines(f"rows of {whose}.{table}", parts) for table, parts in kept.parts.items()}

    def _lines(self, what: str, parts: tuple[Kept, ...]) -> Callable[[], Iterator[bytes]]:
        def read() -> Iterator[bytes]:
            for part in parts:
                yield from gzip.decompress(self._place.content(what, part)).split(b"\n")

        return read

    def _copy(self, what: str, folder: str, files: tuple[KeptFile, ...]) -> None:
        def copy(file: KeptFile) -> None:
            target = f"{folder}/{file.path}"
            with answering(folder):
                if size_of(target) != file.size:
                    write_whole(target, self._place.content(f"{what}: {file.path}", file))

        with ThreadPoolExecutor(AT_ONCE) as several:
            for _ in several.map(copy, files):
                pass
        self._tell(f"{what}: {len(files)} files ({sum(file.size for file in files) / 1e6:.1f} MB)")

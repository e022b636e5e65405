"""Restore: the other way round. Files first, then who refers to them, the ledger last: until then nothing is published.

A mark in the warehouse says that a restore is on its way, and of which point. One that was cut short is gone on with.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from include.mlops.errors import BackupUnusable, SettingsError
from include.mlops.settings import Settings
from include.mlops.steps.backup.backup import AT_ONCE, Tell
from include.mlops.steps.backup.place import Place, answering
from include.mlops.steps.backup.point import Kept, KeptFile, KeptRows, KeptTable, Point
from include.mlops.steps.platform import Platform
from include.mlops.stored_files import entries, listing, read_whole, remove_file, size_of, write_whole

MARK = ".restoring"


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
    restoring.rows("MLflow", point.registry, platform.registry_store.counts, platform.registry_store.restore)
    restoring.register(point.tables, metadata)
    restoring.rows("ledger", point.ledger, platform.opened_ledger.counts, platform.opened_ledger.restore)
    with answering(platform.settings.warehouse):
        remove_file(_mark(platform.settings))
    return point


def _mark(settings: Settings) -> str:
    return f"{settings.warehouse.rstrip('/')}/{MARK}"


def _begin(platform: Platform, point: Point) -> None:
    """Mark the warehouse, where nothing but an earlier try of this point is there."""
    settings = platform.settings
    if settings.catalog_kind == "rest" and not settings.warehouse_url:
        raise SettingsError("expected MLOPS_WAREHOUSE_URL to say where the restored tables' files go, found nothing")
    mark = _mark(settings)
    with answering(settings.warehouse):
        if size_of(mark) is not None:
            begun = read_whole(mark).to_pybytes().decode()
            if begun != point.name:
                raise BackupUnusable(
                    f"expected no other restore on its way, found that of {begun} in {settings.warehouse}; go on with "
                    f"it (--point {begun}), or empty the warehouse, MLflow's database and files, and the catalog"
                )
            return
        if held := _held(platform):
            raise BackupUnusable(
                f"expected empty places to restore into, found {'; '.join(held)}; name others, or empty these"
            )
        write_whole(mark, point.name.encode())


def _held(platform: Platform) -> list[str]:
    """What is there already, a line for each place."""
    from include.mlops.lake.reachable import our_tables

    settings = platform.settings
    tables, runs, rows = our_tables(platform.lake), platform.registry_store.counts(), platform.opened_ledger.counts()
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

    def rows(
        self,
        whose: str,
        kept: KeptRows,
        counts: Callable[[], Mapping[str, int]],
        load: Callable[[str, Mapping[str, Callable[[], Iterator[bytes]]]], None],
    ) -> None:
        held = counts()
        if not held:
            load(
                kept.revision,
                {table: self._lines(f"rows of {whose}.{table}", kept.parts[table]) for table in kept.parts},
            )
        elif any(kept.rows.get(table) != number for table, number in held.items()):
            raise BackupUnusable(
                f"expected the database of {whose} as the restore that was cut short left it, found other rows in "
                f"{', '.join(held)}; who wrote there? Empty it, and restore again"
            )
        self._tell(f"{whose}: {sum(kept.rows.values())} rows of {len(kept.rows)} tables")

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

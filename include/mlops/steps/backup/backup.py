"""Backup: a consistent point without stopping anybody.

Whoever refers is taken first: the ledger, whose rows name model versions and snapshots; then MLflow, whose versions
name files and snapshots; then the lake. What is referred to is written before who refers to it and is not changed
after, so it is there. Rows and files that came meanwhile are in the backup and nobody refers to them, as after a killed
run.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from include.mlops.errors import MlopsError, SettingsError
from include.mlops.steps.backup.place import Place, answering, inside
from include.mlops.steps.backup.point import Kept, KeptFile, KeptRows, KeptTable, Point
from include.mlops.steps.platform import Platform
from include.mlops.stored_files import listing, read_whole

if TYPE_CHECKING:
    from include.mlops.lake.reachable import TableFile
    from include.mlops.stored_rows import Moment

AT_ONCE = 8  # files
_ROWS = 50_000  # in one file
_ATTEMPTS = 3
Tell = Callable[[str], None]


@dataclass(frozen=True)
class BackedUp:
    """`files` of tables and artifacts in the point; of these, `copied` were not there from the backup before."""

    point: Point
    files: int
    copied: int


def backup(platform: Platform, url: str, tell: Tell) -> BackedUp:
    """Add a point to the place at `url`. Raises SettingsError where it takes no files; MlopsError where a file of a
    table is gone. Nothing is there until the last line: a backup that fails has no point.
    """
    settings, place = platform.settings, Place(url)
    for source in (settings.warehouse, settings.mlflow_artifacts):
        if inside(url, source):
            raise SettingsError(
                f"expected a place for the backup outside of {source}, found {url}; name another folder"
            )
    place.require_writable()
    taking = _Taking(place, _before(place), tell)

    with platform.ledger.one_moment() as moment:
        ledger = taking.rows("ledger", moment)
    with platform.registry_store.one_moment() as moment:
        registry = taking.rows("MLflow", moment)
    artifacts = taking.artifacts(settings.mlflow_artifacts)
    if registry.rows.get("model_versions") and not artifacts:
        raise SettingsError(
            f"expected the files of MLflow's {registry.rows['model_versions']} model versions below "
            f"{settings.mlflow_artifacts}, found none; set MLOPS_MLFLOW_ARTIFACTS_URL to where its server keeps them"
        )
    tables = tuple(taking.tables(platform))

    now = datetime.now(UTC)
    point = Point(
        name=f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}Z",  # sorts by time
        made_at=now,
        ledger=ledger,
        registry=registry,
        artifacts=artifacts,
        tables=tables,
    )
    place.finish(point)
    return BackedUp(point, len(artifacts) + sum(len(table.files) for table in tables), taking.copied)


def _before(place: Place) -> Mapping[tuple[str, str], KeptFile]:
    """The files of the newest point, by where their table lay and their path there.

    A table that was restored elsewhere has other addresses in files of the same names.
    """
    if not place.points():
        return {}
    point = place.point()
    found = {(table.location, file.path): file for table in point.tables for file in table.files}
    return found | {("", file.path): file for file in point.artifacts}


class _Taking:
    """One backup on its way."""

    def __init__(self, place: Place, before: Mapping[tuple[str, str], KeptFile], tell: Tell) -> None:
        self._place, self._before, self._tell = place, before, tell
        self.copied = 0

    def rows(self, whose: str, moment: Moment) -> KeptRows:
        counts: dict[str, int] = {}
        parts: dict[str, tuple[Kept, ...]] = {}
        for table, lines in moment.tables:
            counted = _Counted(lines)
            parts[table] = tuple(self._place.keep(block) for block in _blocks(counted))
            counts[table] = counted.number
        self._tell(f"{whose}: {sum(counts.values())} rows of {len(counts)} tables")
        return KeptRows(revision=moment.revision or "", rows=counts, parts=parts)

    def artifacts(self, url: str) -> tuple[KeptFile, ...]:
        """Those that are there whole. Trainings go on: a file may be replaced or deleted since it was listed."""
        from include.mlops.registry.store import UPLOADING

        with answering(url):
            found = [one for one in listing(url) if not one.path.rpartition("/")[2].startswith(UPLOADING)]
        wanted = [KeptFile(path=one.path, size=one.size, written=one.written, sha256="") for one in found]
        return self._files("MLflow's files", "", f"{url.rstrip('/')}/", wanted, may_change=True)

    def tables(self, platform: Platform) -> Iterator[KeptTable]:
        from include.mlops.lake import snapshots

        for name in snapshots.tables(platform.lake):
            yield self._table(platform, name)

    def _table(self, platform: Platform, name: str) -> KeptTable:
        """From the newest metadata on where maintenance took a file away meanwhile."""
        from include.mlops.lake.reachable import state_of

        at = lost = ""
        for _ in range(_ATTEMPTS):
            try:
                if (now := platform.lake.table(name).metadata_location) == at:
                    break
                at = now
                state = state_of(platform.lake, name)
                files = self._files(name, state.location, f"{state.location}/", [_wanted(file) for file in state.files])
                return KeptTable(name=name, location=state.location, latest=state.latest, files=files)
            except FileNotFoundError as error:
                lost = str(error)
        raise MlopsError(
            f"expected every file of {name}, found one gone: {lost}; bring it back from an earlier backup or, where no "
            "snapshot that you need names it, make those days again (backfill) and expire the snapshots that do"
        )

    def _files(
        self, what: str, whose: str, folder: str, wanted: list[KeptFile], *, may_change: bool = False
    ) -> tuple[KeptFile, ...]:
        def take(file: KeptFile) -> tuple[KeptFile, bool] | None:
            if known := self._known(whose, file):
                return known, False
            try:
                with answering(folder):
                    content = read_whole(folder + file.path)
            except FileNotFoundError:
                if may_change:
                    return None
                raise
            if not may_change and file.size not in (-1, len(content)):
                raise MlopsError(
                    f"expected {file.size} bytes in {folder}{file.path}, found {len(content)}: it is damaged; bring it "
                    "back from an earlier backup"
                )
            return file.model_copy(update=self._place.keep(content).model_dump()), True

        with ThreadPoolExecutor(AT_ONCE) as several:
            taken = [one for one in several.map(take, wanted) if one]
        new = [file for file, copied in taken if copied]
        self.copied += len(new)
        self._tell(f"{what}: {len(taken)} files, {len(new)} new ({sum(file.size for file in new) / 1e6:.1f} MB)")
        return tuple(file for file, _ in taken)

    def _known(self, whose: str, file: KeptFile) -> KeptFile | None:
        """As the backup before has it, where that is the same file."""
        known = self._before.get((whose, file.path))
        if known is None or known.written != file.written or file.size not in (-1, known.size):
            return None
        return known if self._place.holds(known) else None


def _wanted(file: TableFile) -> KeptFile:
    return KeptFile(path=file.path, kind=file.kind, size=-1 if file.size is None else file.size, sha256="")


class _Counted:
    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self.number = lines, 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.number += 1
            yield line


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The same lines give the same bytes, so that rows that did not change are kept once."""
    left = iter(lines)
    while block := list(islice(left, _ROWS)):
        yield gzip.compress(b"\n".join(block), mtime=0)

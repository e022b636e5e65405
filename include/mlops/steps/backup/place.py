"""Where backups lie: `files/`, a pool of contents named by their SHA-256, and `points/`, one file for each backup.

A point is written last, in one piece: a backup that was cut short is contents that no point names, and the next one
finds them there already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from include.mlops.errors import BackupUnusable, MlopsError, SettingsError
from include.mlops.settings import names_user
from include.mlops.steps.backup.point import Kept, Point, read_point
from include.mlops.stored_files import (
    file_system,
    listing,
    read_whole,
    remove_file,
    takes_files,
    trouble,
    write_whole,
)

_SHOWN = 5


class Place:
    """A folder by path or address. Raises SettingsError where keys or a password are in it: messages show it."""

    def __init__(self, url: str) -> None:
        if names_user(url):
            raise SettingsError(
                "expected the address of a place for backups without user and password, found one with them (not shown "
                "here); give the keys of S3 in the environment, or a role"
            )
        self.url = url.rstrip("/")
        self._held: dict[str, int] | None = None

    def require_writable(self) -> None:
        """Raises SettingsError."""
        try:
            takes_files(self.url)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"expected a place that takes files at {self.url}, found: {error}; correct the address, let this user "
                "write there, or make room"
            ) from error

    def points(self) -> list[str]:
        """Names of the backups, oldest first."""
        with self._answering():
            found = listing(f"{self.url}/points")
        return [file.path.removesuffix(".json") for file in found if file.path.endswith(".json")]

    def point(self, name: str = "") -> Point:
        """That backup, or the newest. Raises BackupUnusable where there is none."""
        known = self.points()
        if not known or (name and name not in known):
            raise BackupUnusable(
                f"expected {f'the backup {name}' if name else 'a backup'} at {self.url}, found "
                f"{', '.join(known[-_SHOWN:]) or 'none that is whole'}; a backup that was cut short does not count"
            )
        address = f"{self.url}/points/{name or known[-1]}.json"
        with self._answering():
            return read_point(read_whole(address).to_pybytes(), address)

    def finish(self, point: Point) -> None:
        """From now on the backup exists. Raises BackupUnusable where a content was taken away meanwhile."""
        self._held = None
        self.require_whole(point)
        with self._answering():
            write_whole(f"{self.url}/points/{point.name}.json", point.model_dump_json().encode())

    def forget(self, keep: int) -> int:
        """Delete all backups but the newest `keep` (one or more), and contents that these do not name. Returns the
        number of backups that went.
        """
        known = self.points()
        named = {kept.sha256 for name in known[-keep:] for _, kept in self.point(name).contents()}
        with self._answering():
            for name in known[:-keep]:
                remove_file(f"{self.url}/points/{name}.json")
            for file in listing(f"{self.url}/files"):
                if file.path.rpartition("/")[2] not in named:
                    remove_file(f"{self.url}/files/{file.path}")
        self._held = None
        return len(known[:-keep])

    def holds(self, kept: Kept) -> bool:
        """As of when this was first asked."""
        if self._held is None:
            with self._answering():
                self._held = {file.path.rpartition("/")[2]: file.size for file in listing(f"{self.url}/files")}
        return self._held.get(kept.sha256) == kept.size

    def keep(self, content: bytes | pa.Buffer) -> Kept:
        """Write the content, unless the pool has it."""
        kept = Kept(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        if not self.holds(kept):
            with self._answering():
                write_whole(self._address(kept), content)
        return kept

    def content(self, what: str, kept: Kept) -> pa.Buffer:
        """Raises BackupUnusable where it is not what was kept."""
        try:
            with self._answering():
                found = read_whole(self._address(kept))
        except FileNotFoundError:
            raise _damaged([f"{what} (missing: {self._address(kept)})"]) from None
        if hashlib.sha256(found).hexdigest() != kept.sha256:
            raise _damaged([f"{what} (changed: {self._address(kept)})"])
        return found

    def require_whole(self, point: Point) -> None:
        """Look for every content, by its size. Raises BackupUnusable, which names what lacks."""
        if lacking := [f"{what} ({self._address(kept)})" for what, kept in point.contents() if not self.holds(kept)]:
            raise _damaged(lacking)

    def _address(self, kept: Kept) -> str:
        return f"{self.url}/files/{kept.sha256[:2]}/{kept.sha256}"

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with answering(self.url):
            yield


@contextmanager
def answering(url: str) -> Iterator[None]:
    """A missing file passes as FileNotFoundError. Raises SettingsError where `url` is no address or lets us not in,
    MlopsError for all else that a store of files answers.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        if not isinstance(error, OSError) or trouble(error) == "refused":
            raise SettingsError(f"{url} cannot be used: {error}; correct the address, or let this user in") from error
        failed = MlopsError(f"{url} did not read or write: {str(error)[:300]}; is there room, and does it answer?")
        failed.transient = "://" in url and not url.startswith("file:")
        raise failed from error


def inside(url: str, other: str) -> bool:
    """Whether a folder is another one or lies in it."""
    (one, path), (two, above) = file_system(url), file_system(other)
    return one.type_name == two.type_name and f"{path.rstrip('/')}/".startswith(f"{above.rstrip('/')}/")


def _damaged(lacking: list[str]) -> BackupUnusable:
    more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    return BackupUnusable(
        f"the backup is damaged: {'; '.join(lacking[:_SHOWN])}{more}; bring the file back from a copy of the place, or "
        "restore another point"
    )

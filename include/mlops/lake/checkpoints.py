"""Checkpoints of a training, beside the lake's tables: tasks write there, and so do Spark's executors.

They save time and nothing else: a store that does not take or give one is logged, and the training goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyarrow import fs

from include.mlops.stored_files import file_system, remove_folder, write_whole

log = logging.getLogger(__name__)
_FOLDER, _SUFFIX = "checkpoints", ".ubj"


@dataclass(frozen=True)
class StoredCheckpoints:
    """Those of one training, in a folder of their own. Holds nothing open, so it can be sent to an executor."""

    folder: str
    every: int

    @classmethod
    def of(cls, warehouse: str, model: str, training_key: str, every: int) -> StoredCheckpoints:
        return cls(f"{warehouse.rstrip('/')}/{_FOLDER}/{model}/{training_key}", every)

    def left(self) -> Iterator[bytes]:
        """What earlier boostings left, newest first."""
        names: list[str] = []
        with self._at_best("read"):
            names = sorted(self._names(), reverse=True)
        for name in names:
            content = b""
            with self._at_best("read"):
                filesystem, folder = file_system(self.folder)
                with filesystem.open_input_file(f"{folder}/{name}") as file:
                    content = file.read()
            if content:
                yield content

    def keep(self, number: int, content: bytes) -> None:
        """Keep the state after round `number`; older ones go only after that."""
        newest = f"{number:06d}{_SUFFIX}"
        with self._at_best("kept"):
            write_whole(f"{self.folder}/{newest}", content)
            filesystem, folder = file_system(self.folder)
            for name in self._names():
                if name < newest:
                    filesystem.delete_file(f"{folder}/{name}")

    def sweep(self) -> None:
        """Delete them all: the version is registered."""
        with self._at_best("deleted"):
            remove_folder(self.folder)

    def _names(self) -> list[str]:
        filesystem, folder = file_system(self.folder)
        found = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return [one.base_name for one in found if one.type == fs.FileType.File and one.base_name.endswith(_SUFFIX)]

    @contextmanager
    def _at_best(self, done: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            log.warning("a checkpoint in %s could not be %s: %s", self.folder, done, error)


def abandoned(warehouse: str, before: datetime) -> list[str]:
    """Folders of trainings whose newest checkpoint was written before that time. Raises OSError."""
    filesystem, root = file_system(f"{warehouse.rstrip('/')}/{_FOLDER}")
    newest: dict[str, datetime] = {}
    for one in filesystem.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True)):
        if one.type == fs.FileType.File:
            folder = one.path.rpartition("/")[0]
            newest[folder] = max(one.mtime, newest.get(folder, one.mtime))
    return sorted(folder for folder, written in newest.items() if written < before)


def forget_abandoned(warehouse: str, folders: Iterable[str]) -> None:
    """Delete what `abandoned` found. Raises OSError."""
    filesystem, _ = file_system(warehouse)
    for folder in folders:
        filesystem.delete_dir(folder)


def forget_model(warehouse: str, model: str) -> None:
    """Delete the checkpoints of all trainings of a model. Raises OSError."""
    remove_folder(f"{warehouse.rstrip('/')}/{_FOLDER}/{model}")

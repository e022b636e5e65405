"""Checkpoints of a training, beside the lake's tables: tasks and Spark's executors alike reach that place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from pyarrow import fs

from include.mlops.errors import ServiceUnavailable
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
        """What earlier boostings left, newest first. Raises ServiceUnavailable."""
        for name in sorted(self._names(), reverse=True):
            filesystem, folder = file_system(self.folder)
            try:
                with filesystem.open_input_file(f"{folder}/{name}") as file:
                    yield file.read()
            except OSError as error:
                raise self._unavailable(error) from error

    def keep(self, number: int, content: bytes) -> None:
        """Keep the state after round `number`; older ones go only after that. Raises ServiceUnavailable."""
        newest = f"{number:06d}{_SUFFIX}"
        try:
            write_whole(f"{self.folder}/{newest}", content)
        except OSError as error:
            raise self._unavailable(error) from error
        filesystem, folder = file_system(self.folder)
        for name in self._names():
            if name < newest:
                with suppress(FileNotFoundError):
                    filesystem.delete_file(f"{folder}/{name}")

    def sweep(self) -> None:
        """Delete them all: the version is registered. A store that does not let us keeps a file too many."""
        try:
            remove_folder(self.folder)
        except OSError as error:
            log.warning("the checkpoints in %s could not be deleted: %s", self.folder, error)

    def _names(self) -> list[str]:
        filesystem, folder = file_system(self.folder)
        try:
            found = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        except OSError as error:
            raise self._unavailable(error) from error
        return [one.base_name for one in found if one.type == fs.FileType.File and one.base_name.endswith(_SUFFIX)]

    def _unavailable(self, error: OSError) -> ServiceUnavailable:
        return ServiceUnavailable(f"the lake's store did not take or give a checkpoint in {self.folder}: {error}")

"""Checkpoints of a training among the artifacts of its run, where every worker can reach them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from include.mlops.registry.connection import available
from include.mlops.registry.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
_FOLDER = "checkpoints"


class RunCheckpoints:
    """`run` keeps its newest one; `earlier` runs of the same training, newest first, may have left theirs."""

    def __init__(self, client: MlflowClient, url: str, run: Run, earlier: Sequence[str], every: int) -> None:
        self._client, self._url, self._run, self._earlier, self.every = client, url, run, earlier, every
        self._newest = ""

    def left(self) -> Iterator[bytes]:
        """What earlier runs left, newest first."""
        for run_id in self._earlier:
            for path in sorted(stored(self._client, self._url, run_id), reverse=True):
                with tempfile.TemporaryDirectory() as folder, available(self._url):
                    content = Path(self._client.download_artifacts(run_id, path, folder)).read_bytes()
                yield content

    def resumed(self, rounds: Sequence[Mapping[str, float]]) -> None:
        """The run's own account begins with the rounds that an earlier one did."""
        for number, metrics in enumerate(rounds, start=1):
            self._run.log_round(number, metrics)

    def keep(self, number: int, content: bytes) -> None:
        """Upload a checkpoint; the one before goes only after that."""
        self._run.flush()
        name = f"{number:06d}.ubj"
        with tempfile.TemporaryDirectory() as folder, available(self._url):
            (Path(folder) / name).write_bytes(content)
            self._client.log_artifact(self._run.run_id, str(Path(folder) / name), _FOLDER)
        if self._newest:
            delete(self._client, self._url, self._run.run_id, self._newest)
        self._newest = f"{_FOLDER}/{name}"


def stored(client: MlflowClient, url: str, run_id: str) -> list[str]:
    """Paths of the checkpoints of a run."""
    with available(url):
        return [found.path for found in client.list_artifacts(run_id, _FOLDER)]


def delete(client: MlflowClient, url: str, run_id: str, path: str) -> None:
    """Delete an artifact. A store that does not let us is no reason to fail: it keeps a file too many."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from requests.exceptions import HTTPError

    with available(url):
        try:
            where = str(client.get_run(run_id).info.artifact_uri)
            get_artifact_repository(where, tracking_uri=url).delete_artifacts(path)  # type: ignore[no-untyped-call]
        except (MlflowException, HTTPError, NotImplementedError) as error:
            log.warning("the checkpoint %s of run %s could not be deleted: %s", path, run_id, error)

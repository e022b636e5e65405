"""One training run in MLflow: what it was given, how it went, and the version that came of it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.mlops.errors import MlopsError
from include.mlops.registry.connection import available
from include.mlops.registry.model_format import ModelArtifact, write
from include.mlops.registry.version import Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_BATCH = 500  # metrics in one request; the server takes 1000


@dataclass(frozen=True)
class DatasetUse:
    """A part of a lake table that a run read, for its `context` (training or holdout)."""

    table: str
    context: str
    digest: str
    source: Mapping[str, Any]
    columns: Mapping[str, str]


class Run:
    """An unfinished run. Metrics of rounds are sent in batches; `register` completes it."""

    def __init__(self, client: MlflowClient, url: str, model: str, run_id: str) -> None:
        self._client, self._url, self._model, self.run_id = client, url, model, run_id
        self._waiting: list[Metric] = []

    def log_round(self, number: int, values: Mapping[str, float]) -> None:
        """Keep the metrics of a round, and send them once enough have gathered."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(f"round_{name}", value, now, number) for name, value in values.items()]
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        with available(self._url):
            self._client.log_batch(self.run_id, metrics=self._waiting)
        self._waiting = []

    def log_metrics(self, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with available(self._url):
            self._client.log_batch(self.run_id, metrics=[Metric(name, value, now, 0) for name, value in values.items()])

    def log_dataset(self, use: DatasetUse) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        schema = {
            "mlflow_colspec": [{"name": name, "type": kind, "required": False} for name, kind in use.columns.items()]
        }
        dataset = Dataset(use.table, use.digest, "iceberg", json.dumps(dict(use.source)), json.dumps(schema))
        with available(self._url):
            self._client.log_inputs(
                self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", use.context)])]
            )

    def log_files(self, files: Mapping[str, bytes]) -> None:
        """Artifacts of the run, by name."""
        with tempfile.TemporaryDirectory() as folder, available(self._url):
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(self.run_id, folder)

    def register(self, artifact: ModelArtifact, tags: Mapping[str, str], description: str) -> Version:
        """Log the model and register it, then finish the run.

        The version appears with all of its tags in one request, so that a version that exists is complete.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.exceptions import MlflowException

        self.flush()
        with available(self._url), tempfile.TemporaryDirectory() as folder:
            run = self._client.get_run(self.run_id)
            logged = self._client.create_logged_model(run.info.experiment_id, name="model", source_run_id=self.run_id)
            write(Path(folder), artifact, logged.model_id, self.run_id)
            self._client.log_model_artifacts(logged.model_id, folder)
            self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
            self._client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
            try:
                self._client.create_registered_model(self._model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self._client.create_model_version(
                self._model,
                source=logged.artifact_location,
                run_id=self.run_id,
                tags=dict(tags),
                description=description,
                model_id=logged.model_id,
            )
            self._client.set_terminated(self.run_id, "FINISHED")
        if found.status != "READY":
            raise MlopsError(
                f"expected {self._model} v{found.version} to be ready in MLflow, "
                f"found {found.status}: {found.status_message}"
            )
        return Version.of(found)

    def fail(self) -> None:
        """Mark the run failed, with the metrics of the rounds that it came to."""
        self.flush()
        with available(self._url):
            self._client.set_terminated(self.run_id, "FAILED")

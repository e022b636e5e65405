"""The registry: training runs, model versions and their aliases, in MLflow. The only room that knows it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from include.mlops.errors import MlopsError, SettingsError
from include.mlops.registry.connection import available, client
from include.mlops.registry.model_format import EXAMPLES, MODEL_FILE, without_rows
from include.mlops.registry.run import Run
from include.mlops.registry.trials import Trials
from include.mlops.registry.version import TRAINING_KEY, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBED = "doctor"
"""The experiment, and the file, that a probe writes."""
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Probed:
    """The server's version and its clock (UTC)."""

    version: str
    clock: datetime


class Registry:
    """MLflow at `mlflow_url`: an experiment and a registered model for each model, under its name. Links start with
    `page_url` where people reach it by another address.
    """

    def __init__(self, mlflow_url: str, user: str = "", password: SecretStr | None = None, page_url: str = "") -> None:
        self._url = mlflow_url.rstrip("/")
        self._page = (page_url or mlflow_url).rstrip("/")
        self._user, self._password = user, password or SecretStr("")

    @cached_property
    def _client(self) -> MlflowClient:
        return client(self._url, self._user, self._password)

    def begin(self, model: str, name: str, parameters: Mapping[str, object], tags: Mapping[str, str]) -> Run:
        """Start a run in the model's experiment."""
        from mlflow.entities import Param

        with available(self._url):
            found = self._client.create_run(self._experiment(model), run_name=name, tags=dict(tags))
            self._client.log_batch(
                found.info.run_id, params=[Param(key, str(value)[:6000]) for key, value in parameters.items()]
            )
        return Run(self._client, self._url, model, found.info.run_id)

    def abandon(self, model: str, training_key: str) -> list[str]:
        """Mark the unfinished runs of that key killed: their process is gone. Returns their ids."""
        with available(self._url):
            found = self._client.search_runs(
                [self._experiment(model)], f"tags.`{TRAINING_KEY}` = '{training_key}' and attributes.status = 'RUNNING'"
            )
            for run in found:
                self._client.set_terminated(run.info.run_id, "KILLED")
        return [run.info.run_id for run in found]

    def unfinished(self, model: str, training_key: str) -> list[str]:
        """Ids of the runs of that key that ended without a version, newest first: the next can go on from them."""
        return [run_id for run_id, status in self._runs(model, training_key) if status in ("KILLED", "FAILED")]

    def trials(self, run: Run, model: str, earlier: Sequence[str]) -> Trials:
        with available(self._url):
            return Trials(self._client, self._url, self._experiment(model), run.run_id, earlier)

    def close(self, version: Version) -> None:
        """Finish the run of a version that was registered just before its process died."""
        with available(self._url):
            if self._client.get_run(version.mlflow_run).info.status == "RUNNING":
                self._client.set_terminated(version.mlflow_run, "FINISHED")

    def find(self, model: str, training_key: str) -> Version | None:
        """The version trained under that key, the oldest if there are several."""
        found = [version for version in self.versions(model) if version.tags.get(TRAINING_KEY) == training_key]
        return found[0] if found else None

    def models(self) -> list[str]:
        """Every registered model, whether a specification still names it or not; by name."""
        found: list[str] = []
        token = None
        with available(self._url):
            while True:
                page = self._client.search_registered_models(page_token=token)
                found += [str(model.name) for model in page]
                token = page.token
                if not token:
                    return sorted(found)

    def versions(self, model: str) -> list[Version]:
        """All versions, oldest first."""
        found = []
        token = None
        with available(self._url):
            while True:
                page = self._client.search_model_versions(f"name = '{model}'", page_token=token)
                found += [Version.of(version) for version in page]
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: version.number)

    def version(self, model: str, number: int) -> Version:
        """Raises MlopsError where there is none."""
        from mlflow.exceptions import MlflowException

        try:
            with available(self._url):
                return Version.of(self._client.get_model_version(model, str(number)))
        except MlflowException as error:
            if error.error_code not in _MISSING:
                raise
            known = ", ".join(str(version.number) for version in self.versions(model)) or "none"
            raise MlopsError(
                f"expected version {number} of {model} in MLflow, found {known}; train one first"
            ) from error

    def aliased(self, model: str, alias: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        try:
            with available(self._url):
                return Version.of(self._client.get_model_version_by_alias(model, alias))
        except MlflowException as error:
            if error.error_code in _MISSING:
                return None
            raise

    def alias(self, version: Version, alias: str) -> None:
        with available(self._url):
            self._client.set_registered_model_alias(version.model, alias, str(version.number))

    def unalias(self, model: str, alias: str) -> None:
        with available(self._url):
            self._client.delete_registered_model_alias(model, alias)

    def tag(self, version: Version, name: str, value: str) -> None:
        with available(self._url):
            self._client.set_model_version_tag(version.model, str(version.number), name, value)

    def model_file(self, version: Version) -> bytes:
        """The bytes of the model file. Raises MlopsError where they are not those that were registered."""
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as folder, available(self._url):
            uri = f"{version.source.rstrip('/')}/{MODEL_FILE}"
            content = Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=self._url)).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != version.sha256:
            raise MlopsError(
                f"expected {version.model} v{version.number} to be the model file with sha256 {version.sha256}, "
                f"found {found} at {version.source}: it was changed after it was registered; restore it, or train again"
            )
        return content

    def artifact(self, of: Version | str, name: str) -> bytes:
        """A file that a version's run logged, or the run of that id."""
        run_id = of if isinstance(of, str) else of.mlflow_run
        with tempfile.TemporaryDirectory() as folder, available(self._url):
            return Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()

    def replace_artifact(self, run_id: str, name: str, content: bytes) -> None:
        """In place of the file of that name that the run logged."""
        with tempfile.TemporaryDirectory() as folder, available(self._url):
            (Path(folder) / name).write_bytes(content)
            self._client.log_artifact(run_id, str(Path(folder) / name))

    def trainings_with(self, model: str, name: str) -> list[str]:
        """Ids of its trainings' runs that logged a file of that name: also without a version, and deleted ones."""
        from mlflow.entities import ViewType

        found: list[str] = []
        token = None
        with available(self._url):
            if (experiment := self._client.get_experiment_by_name(model)) is None:
                return []
            while True:
                page = self._client.search_runs(
                    [experiment.experiment_id],
                    f"tags.`{TRAINING_KEY}` LIKE '%'",
                    run_view_type=ViewType.ALL,
                    page_token=token,
                )
                found += [run.info.run_id for run in page]
                token = page.token
                if not token:
                    break
            return [one for one in found if any(file.path == name for file in self._client.list_artifacts(one))]

    def forget_example(self, version: Version) -> None:
        """Take the rows out of the example that travels with the model; its columns stay."""
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory() as folder, available(self._url):
            outputs = self._client.get_run(version.mlflow_run).outputs
            assert outputs is not None, "`register` says which model a run made"
            (logged,) = outputs.model_outputs
            for name in EXAMPLES:
                uri = f"{version.source.rstrip('/')}/{name}"
                path = Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=self._url))
                path.write_text(json.dumps(without_rows(json.loads(path.read_text()))))
            self._client.log_model_artifacts(logged.model_id, folder)

    def probe(self) -> Probed:
        """Write a run with a file, read it, and delete the run, of which MLflow keeps a trace among the deleted ones.

        Raises ServiceUnavailable, SettingsError.
        """
        from mlflow import __version__ as ours
        from mlflow.exceptions import MlflowException
        from mlflow.utils.rest_utils import http_request
        from requests.exceptions import HTTPError

        credentials = self._client._tracking_client.store.get_host_creds()  # noqa: SLF001 - as its own requests do
        try:
            with available(self._url):
                answer = http_request(credentials, "/version", "GET")  # type: ignore[no-untyped-call]
                answer.raise_for_status()
                found = answer.text.strip()
                if found.split(".")[:2] != ours.split(".")[:2]:
                    raise SettingsError(
                        f"expected MLflow {ours} at {self._url} (MLOPS_MLFLOW_URL), found {found[:40]!r}; start a "
                        "server of that version, or install the mlflow of the server's"
                    )
                self._probe_run()
        except (MlflowException, HTTPError) as error:
            raise SettingsError(
                f"expected MLflow at {self._url} (MLOPS_MLFLOW_URL) to keep a run and a file, found: "
                f"{str(error)[:300]}; is the address MLflow's, and may this user write there and to its artifacts?"
            ) from error
        return Probed(found, parsedate_to_datetime(answer.headers.get("Date") or format_datetime(datetime.now(UTC))))

    def _probe_run(self) -> None:
        run = self.begin(PROBED, PROBED, {}, {})
        try:
            run.log_files({PROBED: b"written by the doctor"})
            with tempfile.TemporaryDirectory() as folder:
                self._client.download_artifacts(run.run_id, PROBED, folder)
        finally:
            self._client.delete_run(run.run_id)

    def run_url(self, version: Version) -> str:
        with available(self._url):
            return f"{self._page}/#/experiments/{self._experiment(version.model)}/runs/{version.mlflow_run}"

    def version_url(self, model: str, number: int) -> str:
        return f"{self._page}/#/models/{model}/versions/{number}"

    def _runs(self, model: str, training_key: str) -> list[tuple[str, str]]:
        """(id, status) of all runs of that key, newest first."""
        with available(self._url):
            found = self._client.search_runs(
                [self._experiment(model)], f"tags.`{TRAINING_KEY}` = '{training_key}'", order_by=["start_time DESC"]
            )
        return [(run.info.run_id, run.info.status) for run in found]

    def _experiment(self, model: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(model)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(model))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another task was faster
                raise
            return self._experiment(model)

"""The way to the MLflow server: short waits, and one error where it does not answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from include.mlops.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own retries last four minutes, inside a task that Airflow retries anyway. It also prints links and reports
# usage. Variables set by an operator win.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_TRANSIENT = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")
_UNANSWERED = ("failed with exception", "failed with error code 5", "Max retries exceeded", "too many 5")


def client(url: str, user: str, password: SecretStr) -> MlflowClient:
    """MLflow takes its login from the environment alone; a password without a user is a bearer token."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if secret := password.get_secret_value():
        login = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": secret}
        os.environ.update(login if user else {"MLFLOW_TRACKING_TOKEN": secret})
    from mlflow import MlflowClient

    _leave_spark_alone()
    return MlflowClient(tracking_uri=url, registry_uri=url)


def _leave_spark_alone() -> None:
    """With each request MLflow asks the process's Spark session whether it is one of Databricks; where its server is
    gone that takes a quarter of a minute, each time.
    """
    from mlflow.tracking.request_header.databricks_request_header_provider import DatabricksRequestHeaderProvider
    from mlflow.tracking.request_header.registry import _request_header_provider_registry as known

    known._registry[:] = [one for one in known._registry if not isinstance(one, DatabricksRequestHeaderProvider)]  # noqa: SLF001


@contextmanager
def available(url: str) -> Iterator[None]:
    """Raises ServiceUnavailable where the server at `url` did not answer, or answered that it is in trouble, and
    SettingsError where it lets nobody in.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except RequestException as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise _refused(url, error) from error
        if status is not None and status < 500:
            raise
        raise _unavailable(url, error) from error
    except MlflowException as error:
        if error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED") or "error code 401" in str(error):
            raise _refused(url, error) from error
        if error.error_code not in _TRANSIENT and not any(words in str(error) for words in _UNANSWERED):
            raise
        raise _unavailable(url, error) from error


def _unavailable(url: str, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"MLflow at {url} did not answer: {str(error)[:300]}; is the server up? The setting is MLOPS_MLFLOW_URL"
    )


def _refused(url: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"MLflow at {url} refused us: {str(error)[:300]}; look at MLOPS_MLFLOW_USER and MLOPS_MLFLOW_PASSWORD"
    )

"""The local stack: Spark, MLflow and Airflow on this machine, up together and gone together."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Self

from include.mlops.errors import SettingsError
from include.mlops.local.airflow import ADMIN, admin_password, airflow_service
from include.mlops.local.airflow_settings import load_airflow_settings
from include.mlops.local.preflight import FREE_DISK_GB, preflight
from include.mlops.local.services import mlflow_service, spark_service
from include.mlops.local.state_folder import StateFolder
from include.mlops.local.supervisor import Service, Supervisor
from include.mlops.settings import Settings

SERVICES: Mapping[str, Callable[[Settings], Service]] = {
    "spark": spark_service,
    "mlflow": mlflow_service,
    "airflow": airflow_service,
}


class LocalStack:
    """`with LocalStack(settings) as stack:` has the services answer inside, at `stack.addresses`, and gone after.

    Entering raises SettingsError, with nothing started, for all that preflight finds, and ServiceUnavailable, with
    everything stopped again, if a service does not come up. `settings` must name the services' own addresses; those
    that follow from the ports (the defaults) do.
    """

    def __init__(
        self, settings: Settings, services: Sequence[str] = tuple(SERVICES), free_disk_gb: float = FREE_DISK_GB
    ) -> None:
        if unknown := [name for name in services if name not in SERVICES]:
            raise SettingsError(f"services: expected some of {', '.join(SERVICES)}, found {', '.join(unknown)}")
        self.settings = settings
        self.addresses: dict[str, str] = {}
        self._names = tuple(services)
        self._free_disk_gb = free_disk_gb
        self._open = ExitStack()
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        preflight(self.settings, self._names, self._free_disk_gb)
        with ExitStack() as opening:
            opening.enter_context(_SigtermExits())
            folder = opening.enter_context(StateFolder(self.settings.state))
            logs = self.settings.state / "logs"
            self._supervisor = opening.enter_context(Supervisor(logs, keep_open=(folder.descriptor,)))
            services = [SERVICES[name](self.settings) for name in self._names]
            for service in services:
                self._supervisor.start(service)
            self._supervisor.wait_until_up()
            self.addresses = {service.name: service.address for service in services}
            if "airflow" in self.addresses:
                load_airflow_settings(self.addresses["airflow"], ADMIN, admin_password(self.settings))
            folder.describe(self.addresses)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self.addresses = {}

    def check(self) -> None:
        """Raise ServiceUnavailable, with the end of its log, if a service has ended."""
        if self._supervisor is not None:
            self._supervisor.check()

    def wait(self) -> None:
        """Block until a service ends (ServiceUnavailable), or Ctrl-C or SIGTERM ends this process."""
        while True:
            self.check()
            time.sleep(1.0)


class _SigtermExits:
    """Within it SIGTERM raises SystemExit, so that whoever sends one finds everything stopped when we end."""

    def __init__(self) -> None:
        self._before: object = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, _exit)
        return self

    def __exit__(self, *_: object) -> None:
        if callable(self._before) or isinstance(self._before, signal.Handlers):
            signal.signal(signal.SIGTERM, self._before)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)

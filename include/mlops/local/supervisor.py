"""Starts services as child processes, waits until each answers, and lets none outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from include.mlops.errors import ServiceUnavailable
from include.mlops.local.processes import KEEP_ENVIRONMENT, STACK_ID, stop_tagged
from include.mlops.settings import ROOT

LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Service:
    """One program to run. `answers` is its health check: true once it does its work, false or OSError until then."""

    name: str
    command: tuple[str, ...]
    answers: Callable[[], bool]
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = ROOT
    startup_s: float = 300.0


class Supervisor:
    """Runs services, each in its own session with its output in `<logs>/<name>.log`.

    Used as a context manager. On leaving it, and equally when this process is killed, a watchdog and this object see to
    it that no process of any service, however far down, stays behind. `keep_open` are descriptors (a lock) that the
    watchdog holds until it has done so.
    """

    def __init__(self, logs: Path, keep_open: tuple[int, ...] = ()) -> None:
        self.stack_id = uuid.uuid4().hex
        self._logs = logs
        self._keep_open = keep_open
        self._running: dict[str, tuple[Service, subprocess.Popen[bytes]]] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        # Not tagged itself, in a session of its own: neither Ctrl-C in the terminal nor its own sweep reaches it.
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "include.mlops.local.watchdog", self.stack_id, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if key != STACK_ID},
            start_new_session=True,
            pass_fds=self._keep_open,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, service: Service) -> None:
        """Start a service without waiting for it."""
        log = self.log_of(service.name)
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=service.directory,
                env={**os.environ, **service.environment, **KEEP_ENVIRONMENT, STACK_ID: self.stack_id},
                start_new_session=True,
            )
        self._running[service.name] = (service, process)

    def wait_until_up(self) -> None:
        """Wait until all started services answer. Raises ServiceUnavailable with the end of the log of one that does
        not within its `startup_s`, or that ended.
        """
        began = time.monotonic()
        waiting = [service for service, _ in self._running.values()]
        while waiting:
            self.check()
            waiting = [service for service in waiting if not _answers(service)]
            for service in waiting:
                if time.monotonic() - began > service.startup_s:
                    raise self._failure(service.name, f"did not answer within {service.startup_s:g} s")
            time.sleep(0.1 if waiting else 0.0)

    def check(self) -> None:
        """Raise ServiceUnavailable if a service has ended."""
        for service, process in self._running.values():
            if (code := process.poll()) is not None:
                raise self._failure(service.name, f"ended with exit code {code}")

    def log_of(self, name: str) -> Path:
        """Where the output of a service goes; that of its last start is beside it as `<name>.previous.log`."""
        return self._logs / f"{name}.log"

    def stop(self) -> None:
        """Stop all services and wait until none of their processes is left."""
        stop_tagged(self.stack_id)
        for _, process in self._running.values():
            process.wait()
        self._running.clear()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None

    def _failure(self, name: str, what: str) -> ServiceUnavailable:
        log = self.log_of(name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        shown = "".join(f"\n  | {line}" for line in lines)
        return ServiceUnavailable(f"{name} {what}. The end of {log}:{shown}")


def _answers(service: Service) -> bool:
    try:
        return service.answers()
    except OSError:
        return False

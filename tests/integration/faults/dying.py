"""A step in a process of its own, which kills itself (SIGKILL) at a named call: nothing is closed, nothing is undone.

The processes are forked from a clean one that has imported everything, so each costs a fraction of a second.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.integration.faults.dying", "tests.integration.faults.steps"])


@dataclass(frozen=True)
class Point:
    """Just before, or just after, the n-th call of `package.module:Class.method` or `package.module:function`."""

    function: str
    call: int = 1
    after: bool = False

    def __str__(self) -> str:
        name = self.function.partition(":")[2]
        return f"{'after' if self.after else 'before'} {name}" + (f" {self.call}" if self.call > 1 else "")

    @contextmanager
    def happens(self, what: Callable[[], object]) -> Iterator[None]:
        """Meanwhile, `what` is done at that call, once."""
        module, _, path = self.function.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        honest, left = getattr(owner, name), self.call

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not self.after:
                what()
            done = honest(*arguments, **options)
            if left == 0 and self.after:
                what()
            return done

        setattr(owner, name, counted)
        try:
            yield
        finally:
            setattr(owner, name, honest)
        assert left <= 0, f"expected a call of {self.function}, found none"


def killed(
    point: Point, step: Callable[..., None], *arguments: Any, environment: Mapping[str, str] | None = None
) -> None:
    """Run the step in a process that dies at the point; AssertionError where it ends in another way."""
    process = start(point, step, *arguments, environment=environment)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, f"expected it killed {point}, found exit code {process.exitcode}"


def start(
    point: Point | None, step: Callable[..., None], *arguments: Any, environment: Mapping[str, str] | None = None
) -> Any:
    process = _PROCESSES.Process(target=_run, args=(point, step, arguments, dict(environment or {})), daemon=True)
    process.start()
    return process


def _run(
    point: Point | None, step: Callable[..., None], arguments: tuple[Any, ...], environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    with point.happens(lambda: os.kill(os.getpid(), signal.SIGKILL)) if point else nullcontext():
        step(*arguments)

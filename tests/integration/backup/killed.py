"""Restores a place by the settings of the environment, and is killed at call `number` of a function: PLACE, FUNCTION,
NUMBER.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from include.mlops.settings import load_settings
from include.mlops.steps.backup.restore import restore
from include.mlops.steps.platform import Platform


def kill_at(path: str, number: int) -> None:
    module, _, name = path.rpartition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original, calls = getattr(owner, last), iter(range(1, number + 1))

    def killed(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, last, killed)


if __name__ == "__main__":
    place, function, number = sys.argv[1:]
    kill_at(function, int(number))
    restore(Platform(load_settings()), place, "", print)

"""Run as a program: carries out a backfill and kills its own process (SIGKILL) just before the n-th call it is told."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from pydantic import TypeAdapter

from include.mlops.policy.backfill import Plan
from include.mlops.steps.history.backfill import carry_out
from include.mlops.steps.platform import Platform


def main() -> None:
    plan, run_id, target, number = sys.argv[1:]
    module, _, function = target.rpartition(".")
    found = importlib.import_module(module)
    honest, left = getattr(found, function), int(number)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(*arguments, **options)

    setattr(found, function, counted)
    platform = Platform()
    carry_out(platform, TypeAdapter(Plan).validate_json(plan), run_id)


if __name__ == "__main__":
    main()

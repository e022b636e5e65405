"""Run as a program: ingests a day and kills its own process (SIGKILL) just before the function that it is told."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from datetime import date

from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.publish import ingest_interval
from include.mlops.steps.platform import Platform


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    name, ds, target = sys.argv[1:]
    owner, _, function = target.rpartition(".")
    module, _, kind = owner.partition(":")
    found = importlib.import_module(module)
    setattr(getattr(found, kind) if kind else found, function, _die)
    platform = Platform()
    ingest_interval(platform, platform.specs.group(name), Interval.day(date.fromisoformat(ds)), "killed")


if __name__ == "__main__":
    main()

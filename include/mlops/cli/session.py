"""What every command shares: the rooms, the interval and the id of a run, and errors as one message."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from include.mlops.errors import MlopsError
from include.mlops.spec.interval import Interval

if TYPE_CHECKING:
    from include.mlops.settings import Settings
    from include.mlops.steps.platform import Platform

From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
To = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")]
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
AsOf = Annotated[datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="What was known on this day.")]


@contextmanager
def platform() -> Iterator[Platform]:
    with told():
        from include.mlops.steps.platform import Platform

        yield Platform(settings())


def settings() -> Settings:
    """Of the environment, and over them what Airflow's connections say. Raises SettingsError, ServiceUnavailable."""
    from include.mlops.settings import load_settings

    found = load_settings()
    if not found.connections:
        return found  # without a wait for Airflow's imports
    from include.mlops.orchestration.connections import connected_settings

    return connected_settings()


@contextmanager
def told(level: str = "INFO") -> Iterator[None]:
    """Errors of ours as their message alone, Ctrl-C as the end that it is; logs from `level` on."""
    wanted = (os.environ.get("MLOPS_LOG") or level).upper()
    if wanted not in _LEVELS:
        raise typer.BadParameter(f"MLOPS_LOG: expected one of {', '.join(_LEVELS)}, found {wanted}")
    logging.basicConfig(level=wanted, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("great_expectations", "alembic", "pyiceberg", "py.warnings", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        yield
    except MlopsError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("stopped")
        raise typer.Exit(130) from None


def interval_of(first: datetime, last: datetime) -> Interval:
    if first > last:
        raise typer.BadParameter(f"expected --from before --to, found {first.date()} and {last.date()}")
    return Interval(first.date(), last.date())


def new_run_id() -> str:
    return f"cli__{datetime.now(UTC):%Y-%m-%d}__{uuid.uuid4().hex[:8]}"

"""The command line: the same steps as the DAGs, without Airflow.

Each command imports what it needs when it runs, so that `check` answers at once.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from include.mlops.cli import backfills, backups, commands, inquiries, job, keeping, scaffolding, services, trials
from include.mlops.errors import MlopsError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Feature groups and models, from the command line."""


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="With --data, the one group or model to try.")] = None,
    specs: Annotated[
        Path | None, typer.Option(help="Folder with feature_groups/ and models/.", exists=True, file_okay=False)
    ] = None,
    *,
    data: Annotated[bool, typer.Option("--data", help="Try them on real rows; nothing is published.")] = False,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Try this day, by default the newest that is there.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=10, help="At most so many: 2000 of a group, 20000 of a model.")
    ] = None,
) -> None:
    """Read all specifications and print what is wrong with them, one finding a line; exit 1 where there is any."""
    from include.mlops.settings import load_settings
    from include.mlops.spec.load import load_specs

    if not data and (name or day or rows):
        raise typer.BadParameter("a name, --day and --rows go with --data")
    try:
        found = load_specs(specs or load_settings().specs)
    except MlopsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if data:
        trials.try_on_data(found, name, day.date() if day else None, rows)
        return
    for finding in found.findings:
        typer.echo(finding)
    if found.findings:
        raise typer.Exit(1)
    typer.echo(f"{_count(len(found.groups), 'feature group')} and {_count(len(found.models), 'model')}, nothing wrong")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


commands.register(app)
inquiries.register(app)
backfills.register(app)
backups.register(app)
keeping.register(app)
scaffolding.register(app)
services.register(app)
job.register(app)

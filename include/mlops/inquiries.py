"""The commands that ask and change nothing: what is out of date, and what a partition was made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from include.mlops.commands import _interval, _platform


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(stale)


def stale(
    name: Annotated[str | None, typer.Argument(help="A group or model; all of them where it is left out.")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")] = None,
) -> None:
    """List published days that no longer equal what would be made now, why, and what to run."""
    with _platform() as rooms:
        from include.mlops.steps.dependents import stale_everywhere

        if (first is None) != (last is None):
            raise typer.BadParameter("expected both --from and --to, or neither")
        if name is not None and name not in rooms.specs.groups:
            rooms.specs.model(name)
        found = stale_everywhere(rooms, name, _interval(first, last) if first and last else None)
        for one in found:
            typer.echo(one.what)
            for ds, reason in sorted(one.days.items()):
                typer.echo(f"  {ds}  {reason}")
            for command in one.commands:
                typer.echo(f"  run: {command}")
        if not found:
            typer.echo("nothing is out of date")

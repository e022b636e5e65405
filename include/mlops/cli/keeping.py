"""The commands of whoever keeps the data: maintenance, and the erasure of one entity's rows."""

from __future__ import annotations

from typing import Annotated

import typer

from include.mlops.cli.session import platform


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(maintain)


def maintain(
    *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False
) -> None:
    """Expire old snapshots, compact days of many small files, delete stray files, old checkpoints and reports."""
    with platform() as rooms:
        from include.mlops.steps.maintenance import maintain as step

        done = step(rooms, dry_run=dry_run)
        for one in done.tables:
            typer.echo(one.line())
        typer.echo(f"{done.checkpoints} folder(s) of old checkpoints, {done.reports} old report(s)")
        if done.waiting:
            typer.echo(f"the next run begins with {', '.join(done.waiting)}")
        if dry_run:
            typer.echo("nothing was changed")
        if any(one.failed for one in done.tables):
            raise typer.Exit(1)

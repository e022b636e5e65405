"""The commands `backup` and `restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from include.mlops.cli.session import platform

Where = Annotated[str, typer.Argument(help="A folder, or an address such as s3://bucket/backups.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(backup)
    app.command()(restore)


def backup(
    place: Where,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Then delete all backups there but so many; run one backup at a time.")
    ] = None,
) -> None:
    """Add a point to the backups in a place: ledger, MLflow and lake as of one moment, while everything goes on."""
    with platform() as rooms:
        from include.mlops.steps.backup.backup import backup as take
        from include.mlops.steps.backup.place import Place

        made = take(rooms, place, typer.echo)
        typer.echo(f"{made.point.name}: whole, {made.files} files, of which {made.copied} were copied now")
        if keep:
            typer.echo(f"{Place(place).forget(keep)} older backups deleted")


def restore(
    place: Where,
    point: Annotated[str, typer.Option(help="The name of a backup there; by default the newest.")] = "",
    *,
    check: Annotated[bool, typer.Option("--check", help="Read and compare all of it; restore nothing.")] = False,
    points: Annotated[bool, typer.Option("--list", help="Name the backups that are there, and end.")] = False,
) -> None:
    """Put a backup into the empty places that the settings name: lake, catalog, MLflow, ledger."""
    with platform() as rooms:
        from include.mlops.steps.backup import restore as steps
        from include.mlops.steps.backup.place import Place

        if points:
            for name in Place(place).points():
                typer.echo(name)
        elif check:
            steps.check(place, point, typer.echo)
        else:
            restored = steps.restore(rooms, place, point, typer.echo)
            typer.echo(f"{restored.name}: restored as of {restored.made_at:%Y-%m-%d %H:%M:%S} UTC")

"""The commands that ask and change nothing: what is out of date, and what a partition was made of."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from include.mlops.cli.session import interval_of, platform

if TYPE_CHECKING:
    from include.mlops.steps.history.lineage import Story


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(stale)
    app.command()(lineage)
    app.command()(doctor)


def doctor() -> None:
    """Check the services of the settings: do they answer, in the right version, and take what is written to them?"""
    with platform() as rooms:
        from include.mlops.steps.doctor import examine

        wrong = 0
        for check in examine(rooms):
            mark = typer.style("wrong", fg="red") if check.wrong else typer.style("good ", fg="green")
            typer.echo(f"{mark}  {check.name:16}{check.wrong or check.found}")
            wrong += bool(check.wrong)
        if wrong:
            typer.echo(f"{wrong} thing(s) to mend", err=True)
            raise typer.Exit(1)


def stale(
    name: Annotated[str | None, typer.Argument(help="A group or model; all of them where it is left out.")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")] = None,
) -> None:
    """List published days that no longer equal what would be made now, why, and what to run."""
    with platform() as rooms:
        from include.mlops.steps.inputs.dependents import stale_everywhere

        if (first is None) != (last is None):
            raise typer.BadParameter("expected both --from and --to, or neither")
        if name is not None and name not in rooms.specs.groups:
            rooms.specs.model(name)
        found = stale_everywhere(rooms, name, interval_of(first, last) if first and last else None)
        for one in found:
            typer.echo(one.what)
            for ds, reason in sorted(one.days.items()):
                typer.echo(f"  {ds}  {reason}")
            for command in one.commands:
                typer.echo(f"  run: {command}")
        if not found:
            typer.echo("nothing is out of date")


def lineage(
    name: Annotated[str, typer.Argument(help="A model or a feature group.")],
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="The partition.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Tell the story of a partition: what it was made from, down to the files, and what was made from it."""
    with platform() as rooms:
        from dataclasses import asdict

        from rich.console import Console

        from include.mlops.steps.history.lineage import lineage as story

        subject = rooms.specs.groups.get(name) or rooms.specs.model(name)
        found = story(rooms, subject, day.date())
        if as_json:
            typer.echo(json.dumps(asdict(found), indent=2, default=str))
            return
        console = Console(width=None if sys.stdout.isatty() else 1000)
        console.print(_tree(found.partition, Tree("", hide_root=True)))
        if found.used_by:
            used = Tree(Text("used by", style="bold"))
            for one in found.used_by:
                _tree(one, used)
            console.print(used)


def _tree(story: Story, under: Tree) -> Tree:
    branch = under.add(Text(story.what, style="bold"))
    for name, value in story.facts.items():
        branch.add(Text(f"{name}: {_shown(value)}", style="dim"))
    for wrong in story.wrong:
        branch.add(Text(f"! {wrong}", style="yellow"))
    for one in story.made_from:
        _tree(one, branch)
    return under


def _shown(value: Any) -> str:
    """A value on one line; of many, the first and the last."""
    if isinstance(value, dict):
        told = [f"{key} {str(one)[:16]}" for key, one in value.items()]
        return f"{told[0]} ... {told[-1]}" if len(told) > 2 else ", ".join(told)
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)

"""The command `backfill`: shows its plan, asks, and carries it out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from include.mlops.cli.session import From, To, interval_of, new_run_id, platform
from include.mlops.policy.backfill import Dependents, Only, Order, Plan, lines

if TYPE_CHECKING:
    from include.mlops.steps.platform import Platform


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(backfill)


def backfill(
    what: Annotated[str, typer.Argument(help="A feature group or a model.")],
    first: From,
    last: To,
    only: Annotated[Only, typer.Option(help="missing days; stale ones too; or all.")] = "missing",
    version: Annotated[int | None, typer.Option(help="This version instead of the one live for each day.")] = None,
    days_per_job: Annotated[int, typer.Option(min=1, help="A stopped run keeps the jobs that it finished.")] = 30,
    reason: Annotated[str, typer.Option(help="Why rows may be restated under the same version of a group.")] = "",
    *,
    dependents: Annotated[bool, typer.Option(help="Compute what depends on it, too.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show the plan alone.")] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask.")] = False,
) -> None:
    """Show what is present, missing, stale or in-sample over an interval, and compute what is wanted of it."""
    days = interval_of(first, last)
    then: Dependents = "compute" if dependents else "leave"
    order = Order(what, days.first, days.last, only, version, then, reason, days_per_job)
    with platform() as rooms:
        from include.mlops.steps.history.backfill_plan import plan

        run_id = new_run_id()
        found = plan(rooms, order, run_id)
        _show(found)
        if dry_run or not (found.computed or found.parts[0].refused):
            return
        if sys.stdin.isatty() and not yes:
            typer.confirm("Start?", abort=True)
        _carry_out(rooms, found, run_id)


def _show(found: Plan) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(f"{found.order.what}  {found.headline()}", highlight=False)
    for part in found.parts:
        table = Table("days", "number", "state", "computed", "why", title=part.what, title_justify="left")
        for line in lines(part):
            state = f"{line.state}, in-sample" if line.in_sample else line.state
            table.add_row(*map(escape, (line.ranges, str(line.count), state, line.computed, line.reason)))
        console.print(table)


def _carry_out(rooms: Platform, found: Plan, run_id: str) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from include.mlops.steps.history.backfill import carry_out

    shown = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*shown, transient=True) as progress:
        bar = progress.add_task(found.order.what, total=found.computed)

        def tell(job: str, done: int) -> None:
            progress.update(bar, description=job, completed=done)

        made = carry_out(rooms, found, run_id, tell).made
    for part, days in made.items():
        typer.echo(f"{part}: {len(days)} day(s) made")

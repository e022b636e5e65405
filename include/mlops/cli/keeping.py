"""The commands of whoever keeps the data: maintenance, and the erasure of one entity's rows."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from include.mlops.cli.session import platform

if TYPE_CHECKING:
    from include.mlops.steps.erasure.plan import Planned


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(maintain)
    app.command()(erase)


def maintain(
    *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False
) -> None:
    """Expire old snapshots, compact days of many small files, delete stray files, old checkpoints and reports."""
    with platform() as rooms:
        from include.mlops.steps.maintenance import delete_old_reports
        from include.mlops.steps.maintenance import maintain as step

        done = step(rooms, dry_run=dry_run)
        reports = delete_old_reports(rooms.settings, dry_run=dry_run)
        for one in done.tables:
            typer.echo(one.line())
        typer.echo(f"{done.checkpoints} folder(s) of old checkpoints, {reports} old report(s)")
        if done.waiting:
            typer.echo(f"the next run begins with {', '.join(done.waiting)}")
        if dry_run:
            typer.echo("nothing was changed")
        done.require_done()


def erase(
    group: str,
    key: Annotated[list[str], typer.Option(help="A key column and its value, column=value; one for each column.")],
    reason: Annotated[str, typer.Option(help="Kept in the ledger: name the request, not the person.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only the plan is shown.")] = False,
) -> None:
    """Erase the rows of one entity from every table and training set. It cannot be undone."""
    with platform() as rooms:
        from include.mlops.steps.erasure.erase import erase as step
        from include.mlops.steps.erasure.plan import plan

        spec, keys = rooms.specs.group(group), _keys(key)
        planned = plan(rooms, spec, keys)
        _show(planned)
        if not yes:
            typer.echo("nothing was changed; pause what writes to these tables, and say --yes")
            return
        done = step(rooms, spec, keys, planned, getpass.getuser(), reason)
        typer.echo(f"erasure no. {done.number}: {done.rows} row(s) of {len(done.tables)} table(s) are gone")


def _keys(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        column, equals, value = one.partition("=")
        if not (column and equals and value) or column in found:
            raise typer.BadParameter("expected --key column=value, each column once")
        found[column] = value
    return found


def _show(planned: Planned) -> None:
    """Without the values of the key: output is kept in places that nobody thinks of."""
    if planned.unfinished:
        typer.echo(f"erasure no. {planned.unfinished} of this key was begun and not finished: it goes on")
    for name, held in planned.tables.items():
        days = f", {len(held.rows)} day(s), {min(held.rows)} to {max(held.rows)}" if held.rows else ""
        typer.echo(f"{name}: {sum(held.rows.values())} row(s){days}")
        for tag, by_day in held.tags.items():
            typer.echo(f"  tag {tag}: {sum(by_day.values())} row(s)")
        if not (held.rows or held.tags):
            typer.echo("  in old snapshots alone")
    for one in planned.versions:
        typer.echo(f"training set of {one.model} v{one.version}: {one.rows} row(s); it cannot be reproduced afterwards")
    if not planned.tables:
        typer.echo(f"no rows of that {', '.join(planned.columns)}")
    for line in planned.elsewhere:
        typer.echo(f"to be done elsewhere: {line}")

"""The commands that run steps: each an interval of partitions, each what the DAGs run, without Airflow."""

from __future__ import annotations

import getpass
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.mlops.cli.session import AsOf, From, To, interval_of, new_run_id, platform, told
from include.mlops.spec.interval import Interval

if TYPE_CHECKING:
    from include.mlops.spec.feature_group import FeatureGroup
    from include.mlops.steps.platform import Platform


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    steps: list[Callable[..., Any]] = [ingest, restate, train, release, score, export, monitor, performance, reproduce]
    for command in (*steps, alerts, stack, demo):
        app.command()(command)


def ingest(
    group: str,
    first: From,
    last: To,
    *,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Go on without missing inputs, where schedule.late says go_on.")
    ] = False,
) -> None:
    """Ingest, validate and publish a feature group over an interval, in one Spark job."""
    with platform() as rooms:
        from include.mlops.steps.ingestion.publish import ingest_interval

        spec, interval, run_id = rooms.specs.group(group), interval_of(first, last), new_run_id()
        done = ingest_interval(rooms, spec, interval, run_id, overdue=overdue)
        rows, quarantined = sum(done.rows.values()), sum(done.quarantined.values())
        typer.echo(f"published {group}: {len(done.rows)} day(s), {rows} rows, {quarantined} quarantined")
        _restate_dependents(rooms, spec, interval, run_id)


def restate(
    group: str, first: From, last: To, reason: Annotated[str, typer.Option(help="Kept in the ledger.")]
) -> None:
    """Publish an interval again under the same version although its code changed: the old rows were wrong."""
    with platform() as rooms:
        from include.mlops.steps.ingestion.publish import ingest_interval, of_another_meaning

        spec = rooms.specs.group(group)
        why = f"restated by {getpass.getuser()}: {reason}"
        interval, run_id = interval_of(first, last), new_run_id()
        done = ingest_interval(rooms, spec, interval, run_id, restated=why)
        typer.echo(f"restated {group}: {len(done.rows)} day(s), {sum(done.rows.values())} rows")
        if others := of_another_meaning(rooms, spec):
            typer.echo(
                f"{len(others)} published day(s) keep their old meaning, {others[0]} to {others[-1]}: restate them too"
            )
        _restate_dependents(rooms, spec, interval, run_id)


def train(model: str, as_of: AsOf) -> None:
    """Train and register a version as challenger."""
    with platform() as rooms:
        from rich.progress import Progress

        from include.mlops.steps.training.train import train as step

        with Progress(transient=True) as progress:
            bar = progress.add_task(f"{model} as of {as_of.date()}")
            done = step(
                rooms,
                rooms.specs.model(model),
                as_of.date(),
                new_run_id(),
                lambda number, rounds, _: progress.update(bar, completed=number, total=rounds),
            )
        before = " (trained before)" if done.reused else ""
        typer.echo(f"{model} v{done.version}{before}: {_numbers(done.metrics)}  {done.run_url}")


def release(model: str, version: Annotated[int, typer.Option()], as_of: AsOf) -> None:
    """Judge a version against its gate and the champion, and put it live or not."""
    with platform() as rooms:
        from include.mlops.steps.release import release as step

        done = step(rooms, rooms.specs.model(model), version, as_of.date(), getpass.getuser(), new_run_id())
        since = f", live from {done.first_ds}" if done.first_ds else ""
        typer.echo(f"{model} v{version} {done.outcome}{since}: {done.reason}")


def score(
    model: str,
    first: From,
    last: To,
    version: Annotated[int | None, typer.Option(help="This version instead of the one live for each day.")] = None,
    sample: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="A share of the entities; publishes nothing.")
    ] = None,
) -> None:
    """Score an interval, each day by the version that was live for it."""
    with platform() as rooms:
        from include.mlops.steps.scoring.score import score as step

        done = step(
            rooms, rooms.specs.model(model), interval_of(first, last), new_run_id(), version=version, sample=sample
        )
        for ds in sorted(done.rows):
            mean = _numbers({"mean": done.mean_score[ds]})
            typer.echo(f"{ds}  v{done.versions[ds]}  {done.rows[ds]:>8} rows  {mean}")
        typer.echo(f"{sum(done.rows.values())} rows {'published' if done.published else 'scored, nothing published'}")


def export(
    model: str,
    first: From,
    last: To,
    *,
    force: Annotated[bool, typer.Option(help="Write also what was exported already.")] = False,
) -> None:
    """Write published scores where the model's exports say."""
    with platform() as rooms:
        from include.mlops.steps.scoring.export import export as step

        done = step(rooms, rooms.specs.model(model), interval_of(first, last), new_run_id(), force=force)
        for target, rows in done.rows.items():
            typer.echo(f"{target}: {len(rows)} day(s), {sum(rows.values())} rows")
        if not done.rows:
            typer.echo(f"{model} has no exports")


def monitor(model: str, first: From, last: To) -> None:
    """Measure drift of scored days against the training profile."""
    with platform() as rooms:
        from include.mlops.steps.monitoring.monitor import monitor as step

        for ds in interval_of(first, last):
            verdict = step(rooms, rooms.specs.model(model), ds, new_run_id()).verdict
            state = "confirmed" if verdict.confirmed else "seen" if verdict.bad else "none"
            typer.echo(f"{ds}  v{verdict.version}  drift {state}  {', '.join(verdict.detail['drifted'])}".rstrip())


def performance(model: str, first: From, last: To) -> None:
    """Join predictions with the labels that have arrived."""
    with platform() as rooms:
        from include.mlops.steps.monitoring.performance import measure

        days = measure(rooms, rooms.specs.model(model), interval_of(first, last), new_run_id())
        for day in days:
            typer.echo(f"{day.ds}  {_numbers(day.metrics) or 'no labels'}  coverage {day.coverage:.1%}")
        if not days:
            typer.echo("no day of the interval was scored")


def reproduce(model: str, version: Annotated[int, typer.Option()]) -> None:
    """Train a version again from its record and compare the model files byte for byte."""
    with platform() as rooms:
        from include.mlops.steps.training.reproduce import reproduce as step

        done = step(rooms, model, version)
        typer.echo(f"{model} v{version}: trained again from its record, the same file, sha256 {done.sha256}")


def alerts(
    *,
    flush: Annotated[bool, typer.Option(help="Deliver what is due.")] = False,
    requeue: Annotated[bool, typer.Option(help="Let refused messages wait again.")] = False,
) -> None:
    """Show the outbox: what was sent, what waits, what Slack refused."""
    with platform() as rooms:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        from include.mlops.alerts.listing import COLUMNS

        if requeue:
            typer.echo(f"{rooms.alerts.requeue()} message(s) wait again")
        if flush:
            result = rooms.alerts.flush()
            typer.echo(f"{result.sent} sent, {result.waiting} waiting, {result.refused} refused")
        table = Table(*COLUMNS)
        for row in rooms.alerts.outbox():
            table.add_row(*map(escape, row))
        Console(width=None if sys.stdout.isatty() else 200).print(table)


def stack() -> None:
    """Start Spark, MLflow and Airflow on this machine, until Ctrl-C."""
    with told():
        from include.mlops.local.airflow import ADMIN, admin_password
        from include.mlops.local.stack import LocalStack
        from include.mlops.settings import load_settings

        settings = load_settings()
        typer.echo("starting Spark, MLflow and Airflow")
        with LocalStack(settings) as running:
            for name, address in running.addresses.items():
                typer.echo(f"{name:8} {address}")
            typer.echo(f"Airflow's user is {ADMIN}, password {admin_password(settings)}. Ctrl-C stops everything.")
            running.wait()


def demo(
    *,
    nights: Annotated[int, typer.Option(min=1, max=200, help="How many nights to play.")] = 13,
    keep: Annotated[bool, typer.Option(help="Keep the pages up afterwards, until Ctrl-C.")] = True,
) -> None:
    """Play the nightly loop on real flights, through Airflow."""
    with told():
        from rich.console import Console

        from include.demo.run import run_demo
        from include.mlops.settings import load_settings

        logging.getLogger().setLevel(logging.WARNING)
        run_demo(load_settings(), nights, stay=keep, console=Console(soft_wrap=True))


def _restate_dependents(rooms: Platform, group: FeatureGroup, interval: Interval, run_id: str) -> None:
    from include.mlops.steps.history.restatement import restate_dependents

    done = restate_dependents(rooms, group, interval, run_id)
    for what, days in done.made.items():
        typer.echo(f"made again: {what}, {len(days)} day(s), {days[0]} to {days[-1]}")
    for what, days in done.left.items():
        typer.echo(f"out of date: {what}, {len(days)} day(s), {days[0]} to {days[-1]}")
    if done.left:
        typer.echo("what to run: python -m include.mlops stale")


def _numbers(values: Any) -> str:
    return ", ".join(f"{name} {value:.4f}" if value is not None else f"{name} -" for name, value in values.items())

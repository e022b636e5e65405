"""`check --data`: what specifications make of real rows, told in a few lines each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import typer

from include.mlops.cli.session import settings, told
from include.mlops.errors import MlopsError, ServiceUnavailable, SpecError
from include.mlops.spec.nearest import allowed

if TYPE_CHECKING:
    from include.mlops.spec.load import Specs
    from include.mlops.steps.authoring.trial import Trial
    from include.mlops.steps.platform import Platform

GROUP_ROWS, MODEL_ROWS = 2_000, 20_000
Attempt = Callable[[], "Trial"]


def try_on_data(specs: Specs, name: str | None, day: date | None, rows: int | None) -> None:
    """Print a trial of each group and model, or of the one of that name. Exits 1 where something is wrong with one."""
    with told("WARNING"):
        from include.mlops.steps.platform import Platform

        rooms = Platform(settings(), specs)
        right = [_print(subject, attempt) for subject, attempt in _attempts(rooms, name, day, rows)]
        for finding in () if name else specs.findings:
            typer.echo(finding)
    if not all(right) or (specs.findings and not name):
        raise typer.Exit(1)


def _attempts(rooms: Platform, name: str | None, day: date | None, rows: int | None) -> Iterator[tuple[str, Attempt]]:
    from include.mlops.steps.authoring.trial_of_group import try_group
    from include.mlops.steps.authoring.trial_of_model import try_model

    groups, models = rooms.specs.groups, rooms.specs.models
    if name is not None:
        broken = rooms.specs.broken_groups
        if not {name} & {*groups, *models, *broken, *rooms.specs.broken_models}:
            raise SpecError([allowed("feature group or model", name, [*groups, *models])])
        is_group = name in groups or name in broken
        groups = {name: rooms.specs.group(name)} if is_group else {}
        models = {} if is_group else {name: rooms.specs.model(name)}
    for group in groups.values():
        yield group.name, partial(try_group, rooms, group, day, rows or GROUP_ROWS)
    for model in models.values():
        yield model.name, partial(try_model, rooms, model, day, rows or MODEL_ROWS)


def _print(subject: str, attempt: Attempt) -> bool:
    """Whether nothing is wrong. A service that does not answer ends it all: the next one would wait as long."""
    typer.secho(subject, bold=True)
    try:
        trial = attempt()
    except ServiceUnavailable:
        raise
    except MlopsError as error:
        typer.echo(f"  wrong: {error.line()}")
        return False
    for fact, text in trial.facts.items():
        typer.echo(f"  {fact:<10} {text}")
    width = max((len(one.name) for one in trial.columns), default=0)
    for one in trial.columns:
        typer.echo(f"    {one.name:<{width}}  {one.kind:<9} {one.nulls:>6.1%} null  {one.distinct:>6} different")
    for note in trial.notes:
        typer.echo(f"  note: {note}")
    for fault in trial.wrong:
        typer.echo(f"  wrong: {fault}")
    return not trial.wrong

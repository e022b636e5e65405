"""The commands `new feature-group` and `new model`: a commented start, for a person to go on with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from include.mlops.cli.session import platform
from include.mlops.errors import SpecError
from include.mlops.spec.load import load_specs
from include.mlops.spec.tasks import TaskName

new = typer.Typer(no_args_is_help=True, help="Write the commented start of a feature group or a model.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(new, name="new")


@new.command("feature-group")
def feature_group(
    name: str,
    from_file: Annotated[str | None, typer.Option(help="A CSV, JSON lines or Parquet file of one day.")] = None,
    from_table: Annotated[str | None, typer.Option(help="namespace.table of the lake's catalog.")] = None,
) -> None:
    """Write feature_group.yaml and transform.py from the columns of a file or a table."""
    with platform() as rooms:
        from include.mlops.steps.authoring.scaffold import new_feature_group
        from include.mlops.steps.authoring.specimen import from_file as of_file
        from include.mlops.steps.authoring.specimen import from_table as of_table

        if (from_file is None) == (from_table is None):
            raise typer.BadParameter("expected either --from-file or --from-table")
        specimen = of_file(rooms.settings, name, from_file) if from_file else of_table(rooms, str(from_table))
        _tell(rooms.settings.specs, new_feature_group(rooms.settings.specs, rooms.specs, name, specimen), name)


@new.command("model")
def model(
    name: str,
    features: Annotated[str | None, typer.Option(help="The group that it learns from.")] = None,
    label: Annotated[str | None, typer.Option(help="The group that holds the outcome.")] = None,
    task: Annotated[TaskName | None, typer.Option(help="By default what goes with the target's type.")] = None,
    target: Annotated[str | None, typer.Option(help="The column of the label's group to predict.")] = None,
) -> None:
    """Write a model of about 15 lines from what its groups publish."""
    with platform() as rooms:
        from include.mlops.steps.authoring.scaffold import new_model

        groups = list(rooms.specs.groups)
        features, label = _asked({"features": features, "label": label}, groups)
        path = new_model(rooms.settings.specs, rooms.specs, name, features, label, task, target)
        _tell(rooms.settings.specs, [path], name)


def _asked(options: dict[str, str | None], choices: list[str]) -> list[str]:
    """The options, those that are missing asked for. Raises SpecError for these where nobody can answer."""
    missing = [f"--{name}" for name, value in options.items() if not value]
    listed = ", ".join(choices) or "none"
    if missing and not sys.stdin.isatty():
        raise SpecError([f"expected {' and '.join(missing)}; feature groups: {listed}"])
    return [value or typer.prompt(f"--{name} ({listed})") for name, value in options.items()]


def _tell(root: Path, paths: Iterable[Path], name: str) -> None:
    for path in paths:
        typer.echo(f"wrote {path}")
    found = load_specs(root)
    for finding in (*found.broken_groups.get(name, ()), *found.broken_models.get(name, ())):
        typer.echo(finding)
    typer.echo(f"correct what CHECK marks, then: python -m include.mlops check --data {name}")

"""`job`: one step, ordered in a file; what Spark jobs elsewhere run."""

from __future__ import annotations

from typing import Annotated

import typer

from include.mlops.cli.session import platform


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(job)


def job(order: Annotated[str, typer.Argument(help="Path or s3:// of a file that says what to do.")]) -> None:
    """Run a step that Airflow ordered, and leave the answer beside the order; exit 1 where it failed."""
    with platform() as rooms:
        from include.mlops.compute.emr_serverless import read_order, write_answer, write_failure
        from include.mlops.steps.handover import unpack
        from include.mlops.steps.spark_steps import Order, carry

        try:
            result = carry(rooms, unpack(Order, read_order(order)))
        except Exception as error:
            write_failure(order, error)
            raise
        write_answer(order, {"result": result})
        typer.echo(f"{order}: done")

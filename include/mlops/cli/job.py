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
        from include.mlops.compute.emr_serverless import read_order, write_answer
        from include.mlops.errors import MlopsError, ServiceUnavailable
        from include.mlops.steps.handover import unpack
        from include.mlops.steps.spark_steps import Order, carry

        try:
            result = carry(rooms, unpack(Order, read_order(order)))
        except MlopsError as error:
            write_answer(order, {"error": type(error).__name__, "message": str(error)})
            raise
        except Exception as error:
            kind = ServiceUnavailable if isinstance(error, OSError) else MlopsError  # as tasks of Airflow's are retried
            write_answer(order, {"error": kind.__name__, "message": f"{type(error).__name__}: {error}"})
            raise
        write_answer(order, {"result": result})
        typer.echo(f"{order}: done")

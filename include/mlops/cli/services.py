"""The servers of a cluster, each in the process that asks for it: what containers run, and their health checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated

import typer

from include.mlops.cli.session import settings as process_settings
from include.mlops.cli.session import told

Page = Annotated[int, typer.Option(min=1, max=65535, help="Port of a Spark program's web page.")]


class Server(StrEnum):
    """What `serve` starts."""

    SPARK_MASTER = "spark-master"
    SPARK_WORKER = "spark-worker"
    SPARK_CONNECT = "spark-connect"
    MLFLOW = "mlflow"


class Checked(StrEnum):
    """What `health` looks at."""

    SPARK_MASTER = "spark-master"
    SPARK_WORKER = "spark-worker"
    SPARK_CONNECT = "spark-connect"
    MLFLOW = "mlflow"
    AIRFLOW_API = "airflow-api"
    AIRFLOW_SCHEDULER = "airflow-scheduler"
    AIRFLOW_DAG_PROCESSOR = "airflow-dag-processor"
    AIRFLOW_TRIGGERER = "airflow-triggerer"


def register(app: typer.Typer) -> None:
    for command in (serve, health, prepare, airflow_settings):
        app.command()(command)


def serve(
    server: Server,
    page: Page = 8081,
    cores: Annotated[int, typer.Option(min=1, help="Of a Spark worker.")] = 1,
    memory: Annotated[str, typer.Option(help="Of a Spark worker, for its executors.")] = "2g",
) -> None:
    """Become one server of the settings, on the address MLOPS_HOST. Containers run this."""
    with told():
        from include.mlops.local import services

        settings = process_settings()
        match server:
            case Server.SPARK_MASTER:
                service = services.spark_master_service(settings, page)
            case Server.SPARK_WORKER:
                service = services.spark_worker_service(settings, page, cores, memory)
            case Server.SPARK_CONNECT:
                service = services.spark_service(settings)
            case Server.MLFLOW:
                service = services.mlflow_service(settings)
        os.chdir(service.directory)
        # In place of this process, so that it gets the signals that whoever started us sends.
        os.execvpe(service.command[0], service.command, {**os.environ, **service.environment})  # noqa: S606


def health(server: Checked, page: Page = 8081) -> None:
    """Exit 0 if a server that runs on this machine does its work, 1 if not. Airflow's API tells of its components."""
    with told("WARNING"):
        if not _CHECKS[server](page):
            typer.echo(f"{server.value} does not answer, or is not well", err=True)
            raise typer.Exit(1)


def prepare() -> None:
    """Make what the settings name and is not there: databases, buckets, schemas. Containers run this first."""
    with told():
        from include.mlops.local.prepare import AIRFLOW_DATABASE
        from include.mlops.local.prepare import prepare as made

        airflow = (os.environ.get(name, "") for name in (AIRFLOW_DATABASE, "AIRFLOW_ADMIN_PASSWORD"))
        for line in made(process_settings(), *airflow):
            typer.echo(line)


def airflow_settings() -> None:
    """Load airflow_settings.yaml into the Airflow that runs; what is there already stays as it is."""
    with told():
        from include.mlops.errors import SettingsError
        from include.mlops.local.airflow import ADMIN
        from include.mlops.local.airflow_settings import load_airflow_settings

        if not (password := os.environ.get("AIRFLOW_ADMIN_PASSWORD")):
            raise SettingsError(f"expected the password of Airflow's user {ADMIN} in AIRFLOW_ADMIN_PASSWORD")
        loaded = load_airflow_settings(process_settings().airflow_api, ADMIN, password)
        typer.echo(
            f"{len(loaded.pools)} pools, {len(loaded.connections)} connections, {len(loaded.variables)} variables"
        )


def _page(port: int) -> bool:
    from include.mlops.local.services import page_answers

    return page_answers(f"http://{process_settings().address}:{port}")


def _connect(_: int) -> bool:
    from include.mlops.compute.channel import token_metadata
    from include.mlops.local.services import spark_answers

    settings = process_settings()
    return spark_answers(f"{settings.address}:{settings.spark_port}", token_metadata(settings))


def _mlflow(_: int) -> bool:
    from include.mlops.local.services import mlflow_answers

    settings = process_settings()
    return mlflow_answers(f"http://{settings.address}:{settings.mlflow_port}")


def _airflow(component: str) -> Callable[[int], bool]:
    def look(_: int) -> bool:
        from include.mlops.local.airflow import airflow_answers

        return airflow_answers(process_settings().airflow_api, (component,))

    return look


_CHECKS: Mapping[Checked, Callable[[int], bool]] = {
    Checked.SPARK_MASTER: _page,
    Checked.SPARK_WORKER: _page,
    Checked.SPARK_CONNECT: _connect,
    Checked.MLFLOW: _mlflow,
    Checked.AIRFLOW_API: _airflow("metadatabase"),
    Checked.AIRFLOW_SCHEDULER: _airflow("scheduler"),
    Checked.AIRFLOW_DAG_PROCESSOR: _airflow("dag_processor"),
    Checked.AIRFLOW_TRIGGERER: _airflow("triggerer"),
}

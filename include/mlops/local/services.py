"""The servers of Spark and MLflow that we start, with health checks that make them do their work."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from include.mlops.compute.connect_server import connect_server, java_command, spark_environment
from include.mlops.compute.jars import ensure_jars, needed_jars
from include.mlops.compute.java import find_java
from include.mlops.errors import SettingsError
from include.mlops.local.supervisor import Service
from include.mlops.settings import Settings, in_bytes

# Nothing that runs here tells anybody that it does.
NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "SCARF_ANALYTICS": "false",
}


def spark_service(settings: Settings) -> Service:
    """A Spark Connect server on `settings.spark_port`. Downloads its jars where they are missing."""
    from include.mlops.compute.channel import token_metadata

    server = connect_server(settings, find_java(), ensure_jars(settings, needed_jars(settings)))
    address = f"{settings.address}:{settings.spark_port}"
    return Service(
        name="spark",
        command=server.command,
        environment=server.environment,
        directory=server.directory,
        answers=lambda: spark_answers(address, token_metadata(settings)),
        address=f"sc://{address}",
    )


def spark_answers(address: str, metadata: Sequence[tuple[str, str]] = ()) -> bool:
    """True if a Spark Connect server at host:port tells its version: the same call that opens a session."""
    import grpc
    from pyspark.sql.connect.proto import AnalyzePlanRequest, ReleaseSessionRequest, SparkConnectServiceStub

    session = str(uuid.uuid4())
    request = AnalyzePlanRequest(session_id=session, spark_version=AnalyzePlanRequest.SparkVersion())
    request.user_context.user_id = "health"
    with grpc.insecure_channel(address) as channel:
        server = SparkConnectServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            version = server.AnalyzePlan(request, metadata=metadata, timeout=5).spark_version.version
            release = ReleaseSessionRequest(session_id=session, user_context=request.user_context)
            server.ReleaseSession(release, metadata=metadata, timeout=5)
        except grpc.RpcError:
            return False
    return bool(version)


def spark_master_service(settings: Settings, page: int) -> Service:
    """The master of a standalone cluster, at the address of `settings.spark_master`; its web page is on port `page`."""
    host, _, port = settings.spark_master.removeprefix("spark://").partition(":")
    if not settings.spark_master.startswith("spark://") or not port.isdigit():
        raise SettingsError(
            f"expected MLOPS_SPARK_MASTER of the form spark://host:port, found {settings.spark_master!r}"
        )
    return _spark_program(settings, "master.Master", page, "--host", host, "--port", port)


def spark_worker_service(settings: Settings, page: int, cores: int, memory: str) -> Service:
    """One worker of the cluster of `settings.spark_master`, which gives its executors `cores` and `memory` (`2g`).

    Raises SettingsError where no executor would fit: jobs would wait for one for ever.
    """
    try:
        fits = in_bytes(memory.lower()) >= in_bytes(settings.spark_executor_memory)
    except ValueError as error:
        raise SettingsError(f"--memory: {error}") from error
    if not fits:
        raise SettingsError(
            f"expected --memory of at least {settings.spark_executor_memory}, which an executor takes "
            f"(MLOPS_SPARK_EXECUTOR_MEMORY), found {memory}; raise the one, or lower the other"
        )
    arguments = ("--host", settings.address, "--cores", str(cores), "--memory", memory)
    work = settings.state / "spark-worker"
    return _spark_program(settings, "worker.Worker", page, *arguments, "--work-dir", str(work), settings.spark_master)


def _spark_program(settings: Settings, main: str, page: int, *arguments: str) -> Service:
    """One of Spark's own programs, up once its page answers."""
    name = f"spark-{main.partition('.')[0]}"
    home = settings.state / name
    home.mkdir(parents=True, exist_ok=True)
    command = java_command(
        find_java(), "512m", home, f"org.apache.spark.deploy.{main}", "--webui-port", str(page), *arguments
    )
    address = f"http://{settings.address}:{page}"
    return Service(name, command, lambda: page_answers(address), address, spark_environment(settings), home)


def page_answers(address: str) -> bool:
    """True if a web page answers without an error."""
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.HTTPError:
        return False


def mlflow_service(settings: Settings) -> Service:
    """An MLflow server on `settings.mlflow_port`; by default its runs are in sqlite and its artifacts in files, both
    under the state folder. Clients need no access to either.
    """
    home = settings.state / "mlflow"
    home.mkdir(parents=True, exist_ok=True)
    port = settings.mlflow_port
    address = f"http://{settings.address}:{port}"
    page, ours = urlsplit(settings.mlflow_page), (urlsplit(address).netloc, f"localhost:{port}")
    hosts = dict.fromkeys((*ours, urlsplit(settings.mlflow_url).netloc, page.netloc))
    origins = dict.fromkeys((*(f"http://{host}" for host in ours), f"{page.scheme}://{page.netloc}"))
    command = (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", settings.address, "--port", str(port), "--workers", "1"),
        *("--serve-artifacts", "--artifacts-destination", settings.mlflow_artifacts),
        # Refuses web pages of other sites that point their own host name at this machine.
        *("--allowed-hosts", ",".join(hosts)),
        *("--cors-allowed-origins", ",".join(origins)),
    )
    return Service(
        name="mlflow",
        command=command,
        # Its job workers serve features that nothing here uses and cost three processes.
        environment={
            **NO_TELEMETRY,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            # A password on a command line is everybody's.
            "MLFLOW_BACKEND_STORE_URI": settings.mlflow_store,
        },
        directory=home,
        answers=lambda: mlflow_answers(address),
        address=address,
    )


def mlflow_answers(address: str) -> bool:
    """True if the tracking API reads its store."""
    try:
        answer = httpx.post(f"{address}/api/2.0/mlflow/experiments/search", json={"max_results": 1}, timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success

"""The Spark Connect and MLflow servers of the local stack, with health checks that make them do their work."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence

import httpx

from include.mlops.compute.connect_server import connect_server
from include.mlops.compute.jars import ensure_jars, needed_jars
from include.mlops.compute.java import find_java
from include.mlops.local.supervisor import Service
from include.mlops.settings import Settings

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
    address = f"127.0.0.1:{settings.spark_port}"
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


def mlflow_service(settings: Settings) -> Service:
    """An MLflow server on `settings.mlflow_port`; by default its runs are in sqlite and its artifacts in files, both
    under the state folder. Clients need no access to either.
    """
    home = settings.state / "mlflow"
    home.mkdir(parents=True, exist_ok=True)
    port = settings.mlflow_port
    address = f"http://127.0.0.1:{port}"
    command = (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--serve-artifacts", "--artifacts-destination", settings.mlflow_artifacts),
        # Refuses web pages of other sites that point their own host name at this machine.
        *("--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"),
        *("--cors-allowed-origins", f"{address},http://localhost:{port}"),
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

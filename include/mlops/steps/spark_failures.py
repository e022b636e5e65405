"""What Spark's exceptions mean here: the server is gone (transient), or what it was asked for cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pyspark.errors import PySparkException
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from include.mlops.errors import FileNotRead, MlopsError, ServiceUnavailable

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
_DIED = (
    "Python worker exited unexpectedly",
    "Python worker connection is lost",
    "ExecutorLostFailure",
    "executor lost",
)
"""What the message of a failed job holds where a process that carried rows was lost, not where it refused them."""
_OVERTAKEN = ("CommitFailedException", "Found conflicting files", "SQLITE_BUSY", "database is locked")
"""Another writer was faster, or holds the catalog's database."""
_UNANSWERED = (
    "The connection attempt failed",
    "This connection has been closed",
    "An I/O error occurred while sending to the backend",
    "PSQLException: FATAL",  # in the server's language: connections are ended, or it starts up or shuts down
    "terminating connection",
    "the database system is",
    "iceberg.jdbc.UncheckedSQLException",  # a connection of the catalog's pool that was cut
    "Connection refused",
    "Unable to execute HTTP request",
    "Status Code: 503",
    "SlowDown",
    "reduce your request rate",
)
"""The catalog's database or S3 did not answer Spark."""
_UNREAD = tuple(f"FAILED_READ_FILE.{why}" for why in ("NO_HINT", "FILE_NOT_EXIST", "CANNOT_READ_FILE_FOOTER"))
_FULL = "No space left on device"
_LOST_SESSION = ("INVALID_HANDLE.", "NO_ACTIVE_SESSION")
"""The server was started again and knows neither this session nor its operation, or the client found that out."""


@contextmanager
def spark_failures(doing: str, remedy: str) -> Iterator[None]:
    """Raises ServiceUnavailable where Spark was lost while `doing`, FileNotRead where it stopped at a file, MlopsError
    with the `remedy` where it refused.
    """
    try:
        yield
    except (PySparkException, grpc.RpcError) as error:
        text = str(error).split("\n\nJVM stacktrace")[0].strip()[:1500]
        if _FULL in str(error):
            raise ServiceUnavailable(
                f"{doing}: no space is left where Spark or the lake writes (the Spark server's spark.local.dir, "
                f"MLOPS_WAREHOUSE_URL); make room: {text}"
            ) from error
        if any(words in str(error) for words in _OVERTAKEN):
            raise ServiceUnavailable(f"{doing}: another writer was faster; try it again: {text}") from error
        if _lost(error):
            raise ServiceUnavailable(f"Spark was lost while {doing}: {text}") from error
        if any(words in str(error) for words in _UNANSWERED):
            raise ServiceUnavailable(f"{doing}: what Spark reads or writes did not answer: {text}") from error
        if any(words in str(error) for words in _UNREAD):
            raise FileNotRead(
                f"{doing}: Spark could not read a file; if that stays so, land it again: {text}"
            ) from error
        raise MlopsError(f"{doing} failed in Spark; {remedy}: {text}") from error


def _lost(error: Exception) -> bool:
    if any(words in str(error) for words in _DIED):
        return True
    if isinstance(error, PySparkException) and (error.getCondition() or "").startswith(_LOST_SESSION):
        return True
    if isinstance(error, SparkConnectGrpcException):
        return error.getGrpcStatusCode() in _GONE
    return isinstance(error, grpc.RpcError)

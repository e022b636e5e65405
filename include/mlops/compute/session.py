"""A client session on the Spark Connect server that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.mlops.errors import ServiceUnavailable
from include.mlops.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def connect(settings: Settings) -> SparkSession:
    """A new session. Raises ServiceUnavailable where the server does not answer within a quarter of a minute.

    One session a process: the Connect client deadlocks when threads share it.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy

    try:
        session: SparkSession = SparkSession.builder.remote(settings.spark_remote).create()
        client: Any = session.client  # type: ignore[operator]
        # Its own policy asks for ten minutes, in which Airflow would have started the task again.
        client.set_retry_policies([DefaultPolicy(max_retries=6, max_backoff=4000)])
        session.conf.get("spark.sql.session.timeZone")
    except (PySparkException, OSError) as error:
        raise ServiceUnavailable(
            f"expected a Spark Connect server at {settings.spark_remote} (MLOPS_SPARK_REMOTE), found no answer; "
            f"`python -m include.mlops stack` starts one on this machine: {error}"
        ) from error
    return session


def read_once(rows: DataFrame) -> DataFrame:
    """The same rows, computed now and kept by Spark as long as somebody holds this frame or one made of it.

    Raises what Spark raises.
    """
    kept: Any = rows.localCheckpoint()
    # Spark 4.1 gives it to the session that is active in this thread, where another one made it nobody finds it.
    kept._session = kept._plan._spark_session = rows.sparkSession  # noqa: SLF001 - there is no other door
    return kept  # type: ignore[no-any-return]

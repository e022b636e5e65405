"""A client session on the Spark Connect server that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def connect(settings: Settings) -> SparkSession:
    """A new session. Raises ServiceUnavailable where the server does not answer within a quarter of a minute, and
    SettingsError where it wants another token.

    One session a process: the Connect client deadlocks when threads share it.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.retries import DefaultPolicy

    from include.mlops.compute.channel import open_session

    session = None
    try:
        session = open_session(settings)
        client: Any = session.client  # type: ignore[operator]
        # Its own policy asks for ten minutes, in which Airflow would have started the task again.
        client.set_retry_policies([DefaultPolicy(max_retries=6, max_backoff=4000)])
        session.conf.get("spark.sql.session.timeZone")
    except (PySparkException, OSError) as error:
        if session:
            _forget(session)
        if "UNAUTHENTICATED" in str(error) or "Invalid authentication token" in str(error):
            raise SettingsError(
                f"expected the token that the Spark server at {settings.spark_remote} asks for in MLOPS_SPARK_TOKEN, "
                f"found {'another one' if settings.spark_token else 'none'}"
            ) from error
        raise ServiceUnavailable(
            f"expected a Spark Connect server at {settings.spark_remote} (MLOPS_SPARK_REMOTE), found no answer; "
            f"`python -m include.mlops stack` starts one on this machine: {error}"
        ) from error
    return session


def _forget(session: Any) -> None:
    """Else it stays the one that libraries find active, and wait for."""
    session.release_session_on_close = False  # there is nobody to release it
    session.stop()


def read_once(rows: DataFrame) -> DataFrame:
    """The same rows, computed now and kept by Spark as long as somebody holds this frame or one made of it.

    Raises what Spark raises.
    """
    kept: Any = rows.localCheckpoint()
    # Spark 4.1 gives it to the session that is active in this thread, where another one made it nobody finds it.
    kept._session = kept._plan._spark_session = rows.sparkSession  # noqa: SLF001 - there is no other door
    return kept  # type: ignore[no-any-return]

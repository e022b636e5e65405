"""The way to a Spark Connect server: in clear or by TLS, with the token that it asks for."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from pyspark.sql import SparkSession
from pyspark.sql.connect.client.core import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession as RemoteSession

from include.mlops.settings import Settings

# Channels to one address share how long to wait after a failure, up to two minutes: a session with a server that was
# started again would hear that nobody answers.
_OWN_WAY = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 2000))
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def open_session(settings: Settings) -> SparkSession:
    """Raises what gRPC and Spark raise."""
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"  # as `builder.remote` does, which would show the token as a setting
    channel = DefaultChannelBuilder(
        settings.spark_remote.rstrip("/") + ("/;use_ssl=true" if settings.spark_tls else ""), list(_OWN_WAY)
    )
    for name, value in token_metadata(settings):
        channel.set(name, value)
    return RemoteSession.builder.channelBuilder(channel).create()  # type: ignore[return-value]


def token_metadata(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What each call bears. Spark's own parameter `token` takes TLS for granted, which a server has none of."""
    token = settings.spark_token.get_secret_value()
    return (("authorization", f"Bearer {token}"),) if token else ()


def in_clear(settings: Settings) -> bool:
    """Whether a token crosses a network that others may listen to."""
    elsewhere = urlsplit(settings.spark_remote).hostname not in _LOOPBACK
    return bool(settings.spark_token) and not settings.spark_tls and elsewhere

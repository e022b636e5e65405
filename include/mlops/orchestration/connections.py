"""Settings that Airflow's connections hold: `mlops_spark`, `mlops_lake`, `mlops_mlflow`, `mlops_ledger`, `mlops_slack`.

MLOPS_CONNECTIONS names those that are there. One that is named and not found is an error: a task that went on with the
defaults would write to another ledger than the night before. `mlops_slack` is looked for in any case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import Connection, Variable
from pydantic import ValidationError

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.settings import Settings, load_settings, told_wrong

log = logging.getLogger(__name__)
# `generic` is what Airflow's page and command line offer where a type's own provider is not installed.
DATABASES = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "generic": "postgresql+psycopg"}
DATABASES |= {"sqlite": "sqlite"}
WEB = ("http", "https", "generic")
LAKE_EXTRAS = ("warehouse", "s3_encryption", "s3_kms_key")


def connected_settings() -> Settings:
    """The environment's settings, and over them what the connections say.

    Raises SettingsError for what a connection lacks, ServiceUnavailable for one that is not found.
    """
    settings = load_settings()
    named = settings.connections.split(",") if settings.connections else []
    told = _slack_by_chance() if "slack" not in named else {}
    for name in named:
        told |= _READ[name](_connection(name))
    if not told:
        return settings
    try:
        return Settings(**told)
    except ValidationError as error:
        raise SettingsError(f"Airflow connections {settings.connections}: {told_wrong(error)}") from None


def _connection(name: str) -> Connection:
    try:
        found: Connection = Connection.get(f"mlops_{name}")
    except Exception as error:  # noqa: BLE001 - an error of a backend may show what it holds
        raise ServiceUnavailable(
            f"expected the Airflow connection mlops_{name}, which MLOPS_CONNECTIONS names, found none "
            f"({type(error).__name__}); add it under Admin, Connections. Outside of tasks Airflow looks in its "
            f"environment (AIRFLOW_CONN_MLOPS_{name.upper()}) and its secrets backend alone"
        ) from None
    return found


def _spark(connection: Connection) -> dict[str, Any]:
    """As Airflow's own Spark Connect connections: the token is the password, the extra `use_ssl` asks for TLS."""
    _require_type(connection, ("spark_connect", "spark-connect", "generic"))
    found = {
        "spark_remote": f"sc://{_host(connection)}:{connection.port or 15002}",
        "spark_tls": connection.extra_dejson.get("use_ssl", False),
    }
    return found | ({"spark_token": connection.password} if connection.password else {})


def _lake(connection: Connection) -> dict[str, Any]:
    """A database, Glue (`aws`), or a REST catalog (`iceberg` or `http`: the host is its address, the login an OAuth2
    client); extras: LAKE_EXTRAS.
    """
    extra = connection.extra_dejson
    found = {"warehouse_url" if name == "warehouse" else name: extra.get(name) for name in LAKE_EXTRAS}
    match connection.conn_type:
        case "aws":
            found["catalog_url"] = f"glue://{extra.get('account', '')}"
        case "iceberg" | "http" | "https":
            found["catalog_url"] = _web(connection)
            if connection.login and connection.password:
                found["catalog_credential"] = f"{connection.login}:{connection.password}"
        case _:
            found["catalog_url"] = _database(connection)
    return {name: value for name, value in found.items() if value}


def _mlflow(connection: Connection) -> dict[str, Any]:
    """Login and password of MLflow's basic authentication; a password alone is a bearer token."""
    _require_type(connection, WEB)
    found = {"mlflow_url": _web(connection), "mlflow_user": connection.login, "mlflow_password": connection.password}
    return {name: value for name, value in found.items() if value}


def _ledger(connection: Connection) -> dict[str, Any]:
    return {"ledger_url": _database(connection)}


def _slack(connection: Connection) -> dict[str, Any]:
    """The password is the bot's token; the extra `channel`, or the variable `mlops_slack_channel`, says where to."""
    _require_type(connection, ("slack", "generic"))
    found = {"slack_token": connection.password, "slack_channel": connection.extra_dejson.get("channel") or _channel()}
    return {name: value for name, value in found.items() if value}


_READ: Mapping[str, Callable[[Connection], dict[str, Any]]] = {
    "spark": _spark,
    "lake": _lake,
    "mlflow": _mlflow,
    "ledger": _ledger,
    "slack": _slack,
}


def _slack_by_chance() -> dict[str, Any]:
    """No connection at all is normal, and no reason to fail a task: alerts wait."""
    try:
        return _slack(Connection.get("mlops_slack"))
    except Exception as error:  # noqa: BLE001 - as above
        log.debug("no connection mlops_slack: %s", error)
    return {"slack_channel": channel} if (channel := _channel()) else {}


def _channel() -> str | None:
    try:
        found: str | None = Variable.get("mlops_slack_channel", default=None)
    except Exception as error:  # noqa: BLE001 - as for the connection
        log.debug("no variable mlops_slack_channel: %s", error)
        return None
    return found


def _host(connection: Connection) -> str:
    if not connection.host:
        raise SettingsError(
            f"expected a host in the Airflow connection {connection.conn_id}, found none; edit it under Admin, "
            "Connections"
        )
    return str(connection.host)


def _require_type(connection: Connection, types: Collection[str]) -> None:
    if connection.conn_type not in types:
        raise SettingsError(
            f"expected the Airflow connection {connection.conn_id} to be of one of the types "
            f"{', '.join(sorted(types))}, found {connection.conn_type or 'none'}"
        )


def _database(connection: Connection) -> str:
    """An SQLAlchemy URL; extras such as `sslmode` are libpq's, as for Airflow's own Postgres connections."""
    _require_type(connection, DATABASES)
    driver = DATABASES[str(connection.conn_type)]
    if driver == "sqlite":
        return f"sqlite:///{_host(connection)}"
    login = quote(connection.login or "", safe="")
    if connection.password:
        login += f":{quote(connection.password, safe='')}"
    port = f":{connection.port}" if connection.port else ""
    options = {name: value for name, value in connection.extra_dejson.items() if name not in LAKE_EXTRAS}
    query = f"?{urlencode(options)}" if options else ""
    return f"{driver}://{login}{'@' if login else ''}{_host(connection)}{port}/{connection.schema or ''}{query}"


def _web(connection: Connection) -> str:
    """As Airflow's own HTTP connections: the scheme stands in the host, or as the schema."""
    host = _host(connection)
    address = urlsplit(host if "://" in host else f"{connection.schema or 'http'}://{host}")
    if connection.port and not address.port:
        address = address._replace(netloc=f"{address.netloc}:{connection.port}")
    return address.geturl()

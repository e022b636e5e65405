"""Loads `airflow_settings.yaml`, the Astro CLI's format, into a running Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import tenacity
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.settings import ROOT

FILE = ROOT / "airflow_settings.yaml"


@dataclass(frozen=True)
class AirflowSettings:
    """Entities in the shape of Airflow's REST API."""

    connections: tuple[dict[str, Any], ...]
    pools: tuple[dict[str, Any], ...]
    variables: tuple[dict[str, Any], ...]


def read_airflow_settings(file: Path = FILE) -> AirflowSettings:
    """The file's entries, without the empty ones of the Astro template. Raises SettingsError if it cannot be read."""
    try:
        content = (YAML(typ="safe").load(file) or {}).get("airflow") or {}
        return AirflowSettings(
            connections=tuple(_connection(entry) for entry in content.get("connections") or [] if entry.get("conn_id")),
            pools=tuple(
                {
                    "name": entry["pool_name"],
                    "slots": int(entry.get("pool_slot") or 1),
                    "description": entry.get("pool_description") or "",
                    "include_deferred": bool(entry.get("pool_include_deferred")),
                }
                for entry in content.get("pools") or []
                if entry.get("pool_name")
            ),
            variables=tuple(
                {"key": entry["variable_name"], "value": str(entry.get("variable_value") or "")}
                for entry in content.get("variables") or []
                if entry.get("variable_name")
            ),
        )
    except (OSError, YAMLError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"{file}: expected the Astro CLI's `airflow: connections, pools, variables`: {error}"
        ) from error


def load_airflow_settings(address: str, user: str, password: str, file: Path = FILE) -> AirflowSettings:
    """Create what the file names in the Airflow at `address`; what exists there already is left as it is, so that what
    an operator changed in the UI survives a restart. Raises ServiceUnavailable if Airflow refuses.
    """
    wanted = read_airflow_settings(file)
    try:
        with httpx.Client(base_url=address, timeout=30) as client:
            token = _send(client, "POST", "/auth/token", {"username": user, "password": password})["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            for kind in ("connections", "pools", "variables"):
                entities = [
                    {key: value for key, value in entity.items() if value != ""} for entity in getattr(wanted, kind)
                ]
                action = {"action": "create", "entities": entities, "action_on_existence": "skip"}
                outcome = _send(client, "PATCH", f"/api/v2/{kind}", {"actions": [action]})
                if errors := (outcome.get("create") or {}).get("errors"):
                    raise SettingsError(f"{file}: Airflow refused {kind}: {errors}")
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"cannot load {file} into Airflow at {address}: {error}") from error
    return wanted


# On sqlite Airflow now and then answers 500 just after it parsed new DAGs.
@tenacity.retry(
    retry=tenacity.retry_if_exception_type(httpx.HTTPError),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_exponential(multiplier=0.5),
    reraise=True,
)
def _send(client: httpx.Client, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    answer = client.request(method, path, json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _connection(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One entry as a REST body; `conn_uri` wins over the separate fields."""
    if uri := entry.get("conn_uri"):
        return {"connection_id": entry["conn_id"], **_of_uri(str(uri))}
    extra = entry.get("conn_extra") or ""
    fields = {
        "connection_id": entry["conn_id"],
        "conn_type": entry.get("conn_type"),
        "host": entry.get("conn_host"),
        "schema": entry.get("conn_schema"),
        "login": entry.get("conn_login"),
        "password": entry.get("conn_password"),
        "port": int(entry["conn_port"]) if entry.get("conn_port") else None,
        "extra": extra if isinstance(extra, str) else json.dumps(extra),
    }
    return {key: value for key, value in fields.items() if value not in (None, "")}


def _of_uri(uri: str) -> dict[str, Any]:
    parts = httpx.URL(uri)
    fields = {
        "conn_type": parts.scheme.replace("-", "_"),
        "host": parts.host,
        "schema": parts.path.strip("/"),
        "login": parts.username,
        "password": parts.password,
        "port": parts.port,
        "extra": json.dumps(dict(parts.params)) if parts.params else "",
    }
    return {key: value for key, value in fields.items() if value not in (None, "")}

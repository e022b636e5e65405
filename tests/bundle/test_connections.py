"""Settings from Airflow's connections, found as Airflow finds them: in its environment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError
from include.mlops.orchestration.connections import connected_settings
from include.mlops.settings import Settings


def _settings(monkeypatch: pytest.MonkeyPatch, **connections: str | dict[str, Any]) -> Settings:
    monkeypatch.setenv("MLOPS_CONNECTIONS", ",".join(connections))
    for name, fields in connections.items():
        text = fields if isinstance(fields, str) else json.dumps(fields)
        monkeypatch.setenv(f"AIRFLOW_CONN_MLOPS_{name.upper()}", text)
    return connected_settings()


def test_each_connection_becomes_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settings(
        monkeypatch,
        spark="spark-connect://:sesame@spark:15003/?use_ssl=true",
        lake={
            "conn_type": "postgres",
            "host": "db",
            "port": 5433,
            "schema": "lake",
            "login": "me",
            "password": "p@ss/",
            "extra": {"warehouse": "s3://lake/w", "s3_encryption": "sse-kms", "s3_kms_key": "alias/lake"},
        },
        mlflow={"conn_type": "http", "host": "mlflow", "schema": "https", "login": "me", "password": "tell"},
        ledger="postgres://me:secret@db/ledger",
        slack={"conn_type": "slack", "password": "xoxb-1", "extra": {"channel": "#nights"}},
    )
    assert (found.spark_remote, found.spark_tls) == ("sc://spark:15003", True)
    assert found.spark_token.get_secret_value() == "sesame"
    assert found.catalog == "postgresql+psycopg://me:p%40ss%2F@db:5433/lake"
    assert (found.warehouse, found.s3_encryption, found.s3_kms_key) == ("s3://lake/w", "sse-kms", "alias/lake")
    assert (found.mlflow_url, found.mlflow_user) == ("https://mlflow", "me")
    assert found.mlflow_password.get_secret_value() == "tell"
    assert found.ledger == "postgresql+psycopg://me:secret@db/ledger"
    assert (found.slack_token.get_secret_value(), found.slack_channel) == ("xoxb-1", "#nights")
    assert not any(secret in repr(found) for secret in ("sesame", "p@ss", "p%40ss", "tell", "secret@", "xoxb-1"))


def test_a_catalog_by_rest_and_one_in_glue(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = {"conn_type": "iceberg", "host": "https://catalog/api?warehouse=prod", "login": "id", "password": "sesame"}
    found = _settings(monkeypatch, lake=rest)
    assert found.rest_catalog == {"uri": "https://catalog/api", "warehouse": "prod", "credential": "id:sesame"}
    found = _settings(monkeypatch, lake={"conn_type": "aws", "extra": {"account": "123", "warehouse": "s3://lake"}})
    assert (found.catalog, found.catalog_kind) == ("glue://123", "glue")


def test_options_of_a_database_and_a_port_beside_a_scheme_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = {"conn_type": "generic", "host": "db", "schema": "lake", "extra": {"sslmode": "verify-full"}}
    found = _settings(
        monkeypatch,
        lake=lake,
        ledger="postgresql://me:secret@db/ledger?sslmode=require",
        mlflow={"conn_type": "http", "host": "https://mlflow/ml", "port": 8443},
        spark="generic://:sesame@spark/?use_ssl=false",
    )
    assert found.catalog == "postgresql+psycopg://db/lake?sslmode=verify-full"
    assert found.ledger == "postgresql+psycopg://me:secret@db/ledger?sslmode=require"
    assert found.mlflow_url == "https://mlflow:8443/ml"
    assert (found.spark_remote, found.spark_tls) == ("sc://spark:15002", False)


def test_without_a_name_in_the_settings_only_slack_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLOPS_LEDGER", "postgres://me:secret@db/ledger")
    monkeypatch.setenv("AIRFLOW_CONN_MLOPS_SLACK", "slack://:xoxb-1@")
    found = connected_settings()
    assert found.ledger.startswith("sqlite:")
    assert found.slack_token.get_secret_value() == "xoxb-1"


def test_a_connection_that_is_named_and_not_there_is_no_reason_to_go_on_with_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_CONNECTIONS", "ledger")
    with pytest.raises(ServiceUnavailable, match="expected the Airflow connection mlops_ledger, which MLOPS_CONN"):
        connected_settings()


@pytest.mark.parametrize(
    ("name", "connection", "told"),
    [
        ("ledger", "mysql://me:sesame@db/ledger", "expected the Airflow connection mlops_ledger to be of one of"),
        ("ledger", "postgres://me:sesame@/ledger", "expected a host in the Airflow connection mlops_ledger"),
        ("mlflow", "postgres://me:sesame@mlflow", "mlops_mlflow to be of one of the types generic, http, https, found"),
        ("spark", "spark://:sesame@master:7077", "mlops_spark to be of one of the types generic, spark-connect, spark"),
        ("slack", "http://:sesame@slack", "expected the Airflow connection mlops_slack to be of one of the types"),
        ("mlflow", "http://:@", "expected a host in the Airflow connection mlops_mlflow"),
        ("mlflow", "http://me@mlflow", "expected MLOPS_MLFLOW_PASSWORD, as MLOPS_MLFLOW_USER is set"),
        ("lake", '{"conn_type": "aws", "extra": {}}', "expected MLOPS_WAREHOUSE_URL of the form s3://"),
    ],
)
def test_a_connection_that_is_half_set_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, connection: str, told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        _settings(monkeypatch, **{name: connection})
    assert told in str(caught.value)
    assert f"mlops_{name}" in str(caught.value) or f"connections {name}" in str(caught.value)
    assert "sesame" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert isinstance(caught.value, MlopsError)

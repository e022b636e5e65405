"""The Astro CLI's settings file, and what Airflow is told of ours."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from include.mlops.errors import SettingsError
from include.mlops.local.airflow import admin_password, airflow_environment, exported
from include.mlops.local.airflow_settings import read_airflow_settings
from include.mlops.settings import Settings, load_settings

TEMPLATE = """
airflow:
  connections:
    - conn_id:
      conn_type:
      conn_extra:
        example_extra_field: example-value
    - conn_id: store
      conn_type: aws
      conn_login: me
      conn_port: "443"
      conn_extra: {region_name: eu-west-1}
    - conn_id: db
      conn_uri: postgres://u:p@h:5432/d?sslmode=require
  pools:
    - pool_name:
      pool_slot:
    - pool_name: wide
      pool_slot: 8
  variables:
    - variable_name:
      variable_value:
    - variable_name: number
      variable_value: 3
"""


def test_empty_entries_of_the_template_are_skipped_and_the_others_take_airflows_shape(tmp_path: Path) -> None:
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(TEMPLATE)
    found = read_airflow_settings(file)
    assert found.connections == (
        {
            "connection_id": "store",
            "conn_type": "aws",
            "login": "me",
            "port": 443,
            "extra": '{"region_name": "eu-west-1"}',
        },
        {
            "connection_id": "db",
            "conn_type": "postgres",
            "host": "h",
            "schema": "d",
            "login": "u",
            "password": "p",
            "port": 5432,
            "extra": '{"sslmode": "require"}',
        },
    )
    assert found.pools == ({"name": "wide", "slots": 8, "description": "", "include_deferred": False},)
    assert found.variables == ({"key": "number", "value": "3"},)


def test_our_own_file_has_the_pools_that_tasks_name_and_no_secret() -> None:
    found = read_airflow_settings()
    assert {pool["name"]: pool["slots"] for pool in found.pools} == {"spark": 2, "training": 1}
    assert found.connections == ({"connection_id": "mlops_slack", "conn_type": "slack"},)
    assert found.variables == ({"key": "mlops_slack_channel", "value": "#mlops"},)


@pytest.mark.parametrize("text", ["airflow: [", "airflow: [x]", "airflow: {pools: [{pool_name: a, pool_slot: many}]}"])
def test_a_file_of_another_shape_is_refused_by_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"airflow_settings\.yaml: expected the Astro CLI's"):
        read_airflow_settings(file)


def test_tasks_read_the_settings_that_the_stack_was_started_with(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings(
        state=settings.state, mlflow_port=5999, slack_token="xoxb-1", source_urls={"shop": "sqlite:///s.db"}
    )
    for name, value in exported(given).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_the_admin_password_is_random_lasting_and_private(settings: Settings, tmp_path: Path) -> None:
    password = admin_password(settings)
    assert len(password) >= 40
    assert admin_password(settings) == password
    assert admin_password(Settings(state=tmp_path / "other")) != password
    environment = airflow_environment(settings)
    file = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert json.loads(file.read_text()) == {"admin": password}
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}
    assert password not in environment.values()

"""Settings as a user gives them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include.mlops.errors import SettingsError
from include.mlops.settings import ROOT, SECRETS, Settings, export_connection, load_settings

_FORMS = {"catalog_url": "https://", "ledger_url": "postgresql://", "mlflow_store_url": "sqlite:///"}


def test_relative_folders_are_those_of_who_set_them_wherever_a_task_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"STATE": "here", "LANDING_URL": "landed", "EXPORT_URL": "s3://out"}.items():
        monkeypatch.setenv(f"MLOPS_{name}", value)
    found = load_settings()
    monkeypatch.chdir("/")
    assert found.state == tmp_path / "here"
    assert found.warehouse == f"file://{tmp_path}/here/lake/warehouse"
    assert (found.landing, found.exports) == (str(tmp_path / "landed"), "s3://out")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"S3_KMS_KEY": "alias/lake"}, "expected MLOPS_S3_ENCRYPTION=sse-kms, as MLOPS_S3_KMS_KEY is set"),
        ({"S3_ENCRYPTION": "sse-s3"}, "expected MLOPS_WAREHOUSE_URL of the form s3://, as MLOPS_S3_ENCRYPTION is set"),
        ({"CATALOG_URL": "glue://"}, "expected MLOPS_WAREHOUSE_URL of the form s3://, as MLOPS_CATALOG_URL is Glue's"),
        ({"CATALOG_CREDENTIAL": "me:sesame"}, "expected MLOPS_CATALOG_URL of the form http(s)://"),
        ({"MLFLOW_USER": "me"}, "expected MLOPS_MLFLOW_PASSWORD, as MLOPS_MLFLOW_USER is set"),
        ({"SPARK_REMOTE": "sc://spark:15002/;token=sesame"}, "MLOPS_SPARK_REMOTE: expected sc://host:port alone"),
        ({"MLFLOW_URL": "http://me:sesame@mlflow"}, "MLOPS_MLFLOW_URL: expected an address without user and password"),
        ({"WAREHOUSE_URL": "s3://key:sesame@lake"}, "MLOPS_WAREHOUSE_URL: expected an address without user and"),
        ({"EXPORT_URL": "s3://key:sesame@out"}, "MLOPS_EXPORT_URL: expected an address without user and password"),
        ({"EXPORT_URL": "s3://key:sesame/x@out"}, "MLOPS_EXPORT_URL: expected an address without user and password"),
        ({"CONNECTIONS": "ledger,sparks"}, "MLOPS_CONNECTIONS: "),
        ({"JOBS": "emr-serverless://00f1"}, "expected MLOPS_JOBS_ROLE, an IAM role's ARN, as MLOPS_JOBS is set; and "),
        ({"JOBS": "emr-serverless://00f1", "JOBS_URL": "s3://lake/jobs"}, "MLOPS_JOBS_SECRET, as MLOPS_JOBS is set"),
        ({"JOBS": "emr://00f1"}, "MLOPS_JOBS: String should match"),
        ({"JOBS_ROLE": "arn:aws:iam::1:role/jobs"}, "expected MLOPS_JOBS, as other settings of jobs are set"),
        ({"JOBS_SECRET": "mlops"}, "expected MLOPS_JOBS, as other settings of jobs are set"),
        ({"SPARK_REMOTE": "spark:15002"}, "MLOPS_SPARK_REMOTE: expected sc://host:port alone"),
        ({"MAVEN_URL": "https://me:sesame@nexus"}, "MLOPS_MAVEN_URL: expected an address without user and password"),
        ({"MLFLOW_ARTIFACTS_URL": "s3://key:sesame@m"}, "MLOPS_MLFLOW_ARTIFACTS_URL: expected an address without"),
        ({"LEDGER_URL": "mysql://me:sesame@db/x"}, "MLOPS_LEDGER_URL: expected an address that begins with postgres"),
        (
            {"LEDGER_URL": "postgresql://me:open@sesame@db/x"},
            "MLOPS_LEDGER_URL: expected user:password@host:port, with",
        ),
        (
            {"LEDGER_URL": "postgresql://me:open/sesame@db/x"},
            "MLOPS_LEDGER_URL: expected user:password@host:port, with",
        ),
        ({"CATALOG_URL": "postgresql://me@db:sesame/x"}, "MLOPS_CATALOG_URL: expected user:password@host:port, with"),
        ({"CATALOG_URL": "me:sesame@db"}, "MLOPS_CATALOG_URL: expected an address that begins with postgresql+psycopg"),
        ({"LEDGER_ULR": "postgresql://me:sesame@db"}, "MLOPS_LEDGER_ULR: no such setting; did you mean MLOPS_LEDGER_U"),
        ({"WAREHOUSE": "s3://lake"}, "MLOPS_WAREHOUSE: no such setting; did you mean MLOPS_WAREHOUSE_URL?"),
        ({"LANDED_QUEUE_URL": "https://sqs/1/q"}, "MLOPS_LANDING_URL of the form s3://, as MLOPS_LANDED_QUEUE_URL is"),
        ({"MLFLOW_PORT": "many"}, "MLOPS_MLFLOW_PORT: Input should be a valid integer"),
    ],
)
def test_a_setting_that_is_wrong_or_half_of_one_is_named_and_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MLOPS_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert told in str(caught.value)
    assert "sesame" not in f"{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://me:open@sesame@db/x", "expected user:password@host:port, with @"),
        ("postgresql://me:sesame\u2100x@db/x", "expected user:password@host:port, with @"),
        ("postgresql://me:12?sesame@db/x", "expected user:password@host:port, with @"),
        ("postgresql://me:#sesame@db/x", "expected user:password@host:port, with @"),
        ("postgresql://me@db/x?password=sesame", "expected no password behind the ?"),
        ("postgresql://me@db/x?sslmode=verify-full&sslpassword=sesame", "expected no password behind the ?"),
    ],
)
def test_a_password_that_messages_would_show_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str, told: str
) -> None:
    for name in ("SOURCE_SHOP", "EXPORT_SHOP", "LEDGER", "CATALOG", "MLFLOW_STORE"):
        monkeypatch.setenv(f"MLOPS_{name}_URL", address)
        with pytest.raises(SettingsError) as caught:
            _all_addresses()
        assert f"MLOPS_{name}_URL: {told}" in str(caught.value)
        assert "sesame" not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"
        monkeypatch.delenv(f"MLOPS_{name}_URL")


def _all_addresses() -> None:
    if "MLOPS_EXPORT_SHOP_URL" in os.environ:
        export_connection("shop")
    load_settings().source_url("shop")


def test_half_a_pair_of_keys_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mlops")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(SettingsError, match="both or none of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        load_settings()


def test_variables_that_are_somebody_elses_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STAGE", "ENV", "BUCKET", "TEAM", "LOG", "EXPORT_CRM_URL", "SOURCE_SHOP_URL"):
        monkeypatch.setenv(f"MLOPS_{name}", "x")
    load_settings()


def test_no_secret_is_in_what_settings_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SOURCE_SHOP_URL", "postgresql://me:sesame@shop/orders")
    for name in set(SECRETS) - {"source_urls"}:
        monkeypatch.setenv(f"MLOPS_{name.upper()}", _FORMS.get(name, "") + "sesame")
    settings = load_settings()
    assert settings.source_url("shop").endswith("orders")
    assert len(SECRETS) >= 8
    assert "sesame" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_every_setting_is_explained() -> None:
    explained = (ROOT / "docs" / "settings.md").read_text()
    elsewhere = {"source_urls"}  # MLOPS_SOURCE_<CONNECTION>_URL
    assert not [
        name for name in Settings.model_fields if f"MLOPS_{name.upper()}`" not in explained and name not in elsewhere
    ]

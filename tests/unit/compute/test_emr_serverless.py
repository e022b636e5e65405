"""What a job of EMR Serverless is given."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from include.mlops.compute import emr_serverless as emr
from include.mlops.compute.job_driver import secret_variables
from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.local.ports import free_port
from include.mlops.settings import ROOT, Settings
from tests.aws import aws, bucket

pytestmark = pytest.mark.slow  # moto's server


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with aws():
        bucket("lake")
        yield


@pytest.fixture
def settings(server: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setattr(emr, "needed_jars", lambda _: ())
    return Settings(
        state=tmp_path,
        host="auto",
        landing_url="s3://landing/in",
        catalog_url="glue://",
        warehouse_url="s3://lake/warehouse",
        ledger_url="postgresql+psycopg://me:sesame@host/ledger",
        mlflow_url="https://mlflow",
        mlflow_user="me",
        mlflow_password="sesame",
        jobs="emr-serverless://00f1",
        jobs_role="arn:aws:iam::123456789012:role/jobs",
        jobs_url="s3://lake/jobs/",
        jobs_secret="mlops",
    )


def _properties(settings: Settings) -> dict[str, str]:
    code = emr.Code("s3://lake/b.zip", "s3://lake/launch.py", ("s3://lake/a.jar", "s3://lake/b.jar"))
    (told,) = emr.configuration(settings, code)["applicationConfiguration"]
    found: dict[str, str] = told["properties"]
    return found


def test_the_archive_holds_the_library_and_the_users_specifications_and_is_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.yaml").write_text("name: mine\n")
    (tmp_path / "feature_groups" / "g" / "__pycache__").mkdir(parents=True)
    (tmp_path / "feature_groups" / "g" / "__pycache__" / "transform.pyc").write_bytes(b"")
    packed = emr.packed_bundle(tmp_path)
    names = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert {"include/__init__.py", "include/mlops/__main__.py", "include/models/mine.yaml"} <= set(names)
    assert any("migrations/versions" in name for name in names)
    assert not any("__pycache__" in name or "flight_delay" in name for name in names)
    os.utime(tmp_path / "models" / "mine.yaml", (0, 0))
    assert emr.packed_bundle(tmp_path) == packed


def test_two_versions_of_the_code_lie_side_by_side(settings: Settings, tmp_path: Path) -> None:
    old = emr.upload(settings)
    assert emr.upload(settings) == old
    (tmp_path / "other" / "models").mkdir(parents=True)
    (tmp_path / "other" / "models" / "new.yaml").write_text("name: new\n")
    new = emr.upload(settings.model_copy(update={"specs": tmp_path / "other"}))
    assert new.bundle != old.bundle
    listed = boto3.client("s3").list_objects_v2(Bucket="lake", Prefix="jobs/code/")["Contents"]
    assert {f"s3://lake/{one['Key']}" for one in listed} == {old.bundle, old.launch, new.bundle, new.launch}


def test_a_jobs_properties_tell_its_settings_and_no_secret(settings: Settings) -> None:
    properties = _properties(settings)
    variables = {name.rpartition(".")[2]: value for name, value in properties.items() if "driverEnv" in name}
    assert variables == {
        "MLOPS_CATALOG_URL": "glue://",
        "MLOPS_JOB_SECRET": "mlops",
        "MLOPS_LANDING_URL": "s3://landing/in",
        "MLOPS_MLFLOW_URL": "https://mlflow",
        "MLOPS_MLFLOW_USER": "me",
        "MLOPS_WAREHOUSE_URL": "s3://lake/warehouse",
    }
    assert properties["spark.archives"] == "s3://lake/b.zip#bundle"
    assert properties["spark.jars"] == "s3://lake/a.jar,s3://lake/b.jar"


def test_a_packed_environment_is_whose_python_a_job_runs(settings: Settings) -> None:
    packed = settings.model_copy(update={"jobs_environment_url": "s3://lake/env.tar.gz"})
    properties = _properties(packed)
    assert properties["spark.archives"] == "s3://lake/b.zip#bundle,s3://lake/env.tar.gz#environment"
    for name in ("emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON", "executorEnv.PYSPARK_PYTHON"):
        assert properties[f"spark.{name}"] == "./environment/bin/python"


def test_a_place_that_takes_no_files_is_named(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"jobs_url": "s3://no-such-bucket/jobs"})
    with pytest.raises(SettingsError, match=r"s3://no-such-bucket/jobs \(MLOPS_JOBS_URL\)"):
        emr.upload(nowhere)


def test_what_lies_on_one_machine_alone_is_named(settings: Settings, tmp_path: Path) -> None:
    for folder in ("models", "feature_groups"):
        shutil.copytree(ROOT / "include" / folder, tmp_path / folder)
    model = tmp_path / "models" / "flight_delay.yaml"
    exports = "exports: [parquet: {path: 'late/{ds}.parquet'}, csv: {path: '/srv/{ds}.csv'}]\n"
    model.write_text(model.read_text() + exports)
    named = settings.model_copy(update={"specs": tmp_path, "mlflow_url": "http://127.0.0.1:5000", "landing_url": ""})
    with pytest.raises(SettingsError) as caught:
        emr.require_reachable(Settings.model_validate(named.model_dump()))
    for wanted in ("LANDING_URL of the form", "EXPORT_URL of the form", "exports to s3://", "MLFLOW_URL of another"):
        assert wanted in str(caught.value)
    model.write_text(model.read_text().replace("csv: {path: '/srv/", "csv: {path: 's3://out/"))
    emr.require_reachable(settings.model_copy(update={"specs": tmp_path, "export_url": "s3://out"}))


@pytest.mark.parametrize(
    ("text", "found"),
    [("sesame", "found other text"), ('["sesame"]', "found something else"), ('{"PATH": "sesame"}', "something else")],
)
def test_a_secret_that_holds_no_variables_is_named_and_not_shown(server: None, text: str, found: str) -> None:
    name = f"of-{abs(hash(text))}"
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=text)
    with pytest.raises(SettingsError, match=found) as caught:
        secret_variables(name)
    assert "sesame" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_secret_of_bytes_is_named_and_not_shown(server: None) -> None:
    boto3.client("secretsmanager").create_secret(Name="bytes", SecretBinary=b"sesame")
    with pytest.raises(SettingsError, match="found other text"):
        secret_variables("bytes")


def test_a_store_of_secrets_that_does_not_answer_is_asked_again(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(
        ServiceUnavailable, match=r"in the secret mlops \(MLOPS_JOBS_SECRET\), found: Could not connect"
    ):
        secret_variables("mlops")


def test_a_secret_that_is_not_there_is_named(server: None) -> None:
    with pytest.raises(SettingsError, match=r"in the secret nothing \(MLOPS_JOBS_SECRET\), found: .*ResourceNotFound"):
        secret_variables("nothing")


def test_a_secret_holds_variables(server: None) -> None:
    told: dict[str, Any] = {"MLOPS_LEDGER_URL": "postgresql://me:sesame@host/ledger"}
    boto3.client("secretsmanager").create_secret(Name="good", SecretString=json.dumps(told))
    assert secret_variables("good") == told


def test_the_doctor_looks_at_the_application(settings: Settings) -> None:
    from tests.emr import create_application

    there = settings.model_copy(update={"jobs": f"emr-serverless://{create_application()}"})
    assert emr.probe(there) == f"{there.jobs}, emr-7.12.0, started; s3://lake/jobs/ takes files"
    with pytest.raises(SettingsError, match=r"expected an application of EMR Serverless at emr-serverless://00f1"):
        emr.probe(settings)


def test_the_doctor_looks_at_the_queue(server: None) -> None:
    from include.mlops.sources.announcements import queue_answers

    queue_url = boto3.client("sqs").create_queue(QueueName="landed")["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=queue_url, MessageBody="x")
    assert queue_answers(queue_url) == 1
    with pytest.raises(SettingsError, match=r"nothing \(MLOPS_LANDED_QUEUE_URL\), found: .*NonExistentQueue"):
        queue_answers(queue_url.replace("landed", "nothing"))

"""What the Spark server is told about the catalog and the warehouse."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from include.mlops.compute.connect_server import connect_server, spark_configuration
from include.mlops.compute.iceberg import jdbc_properties
from include.mlops.errors import SettingsError
from include.mlops.settings import Settings

JAVA = Path("/opt/java/bin/java")


def test_a_sqlite_catalog_becomes_a_jdbc_address_that_waits_for_its_lock(tmp_path: Path) -> None:
    found = jdbc_properties(f"sqlite:///{tmp_path / 'a b' / 'catalog.db'}")
    assert found == {"uri": f"jdbc:sqlite:file:{tmp_path}/a%20b/catalog.db?busy_timeout=30000&journal_mode=WAL"}
    assert (tmp_path / "a b").is_dir()


def test_a_postgres_catalog_keeps_its_password_out_of_the_address() -> None:
    found = jdbc_properties("postgresql+psycopg2://mlops:p%40ss@db.example:5433/lake?sslmode=require")
    assert found == {
        "uri": "jdbc:postgresql://db.example:5433/lake?sslmode=require",
        "jdbc.user": "mlops",
        "jdbc.password": "p@ss",
    }


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "sqlite://", "postgresql://u:secret@/d"])
def test_another_catalog_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="MLOPS_CATALOG_URL: expected sqlite") as caught:
        jdbc_properties(url)
    assert "secret" not in str(caught.value)


def test_secrets_stand_in_a_private_file_and_not_on_the_command_line(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path, catalog_url="postgresql://mlops:%3Dhunter2@db/lake")
    server = connect_server(settings, JAVA, [])
    assert "hunter2" not in " ".join(server.command)
    file = Path(server.command[server.command.index("--properties-file") + 1])
    # After a blank, Java would take the first = for the sign between the two.
    assert "spark.sql.catalog.lake.jdbc.password==hunter2\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_server_listens_on_this_machine_alone_and_computes_in_utc(tmp_path: Path) -> None:
    found = spark_configuration(Settings(state=tmp_path, spark_port=15999), [])
    assert found["spark.connect.grpc.binding.address"] == "127.0.0.1"
    assert found["spark.connect.grpc.binding.port"] == "15999"
    assert found["spark.sql.session.timeZone"] == "UTC"


def test_a_warehouse_on_s3_is_reached_through_the_endpoint_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state=tmp_path, warehouse_url="s3://bucket/lake")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    found = spark_configuration(settings, [])
    assert found["spark.sql.catalog.lake.io-impl"] == "org.apache.iceberg.aws.s3.S3FileIO"
    assert found["spark.sql.catalog.lake.s3.endpoint"] == "http://127.0.0.1:9000"
    assert "spark.sql.catalog.lake.io-impl" not in spark_configuration(Settings(state=tmp_path), [])


def test_files_that_land_on_s3_are_read_through_the_same_endpoint_and_no_key_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    found = spark_configuration(Settings(state=tmp_path, landing_url="s3://bucket/files"), [])
    assert found["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:9000"
    assert found["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-1"
    assert "hunter2" not in str(found)
    assert not [name for name in spark_configuration(Settings(state=tmp_path), []) if "hadoop" in name]


def test_properties_of_sparks_own_go_before_ours(tmp_path: Path) -> None:
    file = tmp_path / "spark.properties"
    file.write_text(
        "# of our cluster\n\nspark.kubernetes.namespace mlops\nspark.sql.shuffle.partitions=64\n"
        "spark.driver.extraJavaOptions = -Da=b -Dc=d\n"
    )
    settings = Settings(state=tmp_path, spark_executor_memory="6g", spark_properties=str(file))
    found = spark_configuration(settings, [])
    assert found["spark.kubernetes.namespace"] == "mlops"
    assert found["spark.sql.shuffle.partitions"] == "64"
    assert found["spark.driver.extraJavaOptions"] == "-Da=b -Dc=d"
    assert found["spark.executor.memory"] == "6g"


@pytest.mark.parametrize(("text", "found"), [("spark.executor.cores\n", "executor.cores"), ("cores 2\n", "'cores'")])
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, text: str, found: str) -> None:
    file = tmp_path / "spark.properties"
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"MLOPS_SPARK_PROPERTIES: expected lines such as .*{found}"):
        spark_configuration(Settings(state=tmp_path, spark_properties=str(file)), [])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MLOPS_SPARK_PROPERTIES: expected a file"):
        spark_configuration(Settings(state=tmp_path, spark_properties=str(tmp_path / "none")), [])

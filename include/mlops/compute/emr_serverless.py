"""A Spark job of EMR Serverless: what of ours it is given, how it is told what to do, and what it answers.

Below MLOPS_JOBS_URL lie `code/<hash>/` (two versions of the bundle side by side), `jars/`, `orders/` with each job's
order and result, and `logs/`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import SecretStr

from include.mlops.aws_errors import passes
from include.mlops.compute.jars import ensure_jars, needed_jars
from include.mlops.compute.launch import BUNDLE, SECRET
from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError
from include.mlops.settings import ROOT, S3, Settings
from include.mlops.spec.export import is_absolute
from include.mlops.spec.load import load_specs
from include.mlops.stored_files import read_whole, size_of, trouble, write_whole

LAUNCH = Path(__file__).with_name("launch.py")
# Of the machine that asks for the job, and no business of the job.
_OWN = frozenset({"specs", "state", "connections", "landed_queue_url", "spark_remote", "spark_tls", "spark_master"})
_OWN |= {"host", "airflow_port", "mlflow_port", "spark_port", "mlflow_artifacts_url", "maven_url", "spark_properties"}


@dataclass(frozen=True)
class Code:
    """Where a job finds the bundle, what starts it, and the jars of its catalog; all `s3://`."""

    bundle: str
    launch: str
    jars: tuple[str, ...]


def upload(settings: Settings) -> Code:
    """The code as it stands here, where jobs find it; what is there already is not sent again.

    Raises SettingsError, ServiceUnavailable.
    """
    require_reachable(settings)
    packed = packed_bundle(settings.specs)
    root = settings.jobs_url.rstrip("/")
    place = f"{root}/code/{hashlib.sha256(packed).hexdigest()[:16]}"
    jars = ensure_jars(settings, needed_jars(settings))
    code = Code(f"{place}/bundle.zip", f"{place}/launch.py", tuple(f"{root}/jars/{jar.name}" for jar in jars))
    try:
        for url, file in zip(code.jars, jars, strict=True):
            if size_of(url) is None:
                write_whole(url, file.read_bytes())
        if size_of(code.launch) is None:
            write_whole(code.bundle, packed)
            write_whole(code.launch, LAUNCH.read_bytes())  # last: where it is, all is
    except (OSError, pa.ArrowInvalid) as error:
        raise _unwritable(settings, error) from error
    return code


def require_reachable(settings: Settings) -> None:
    """Raises SettingsError where a job elsewhere could not reach what the settings name."""
    specs = load_specs(settings.specs)
    reads_files = any(group.source.path for group in specs.groups.values())
    files = [one.place for model in specs.models.values() for one in model.exports if one.kind != "jdbc"]
    below = any(not is_absolute(place) for place in files)
    lacking = {
        "MLOPS_WAREHOUSE_URL of the form s3://": settings.warehouse.startswith(S3),
        "MLOPS_CATALOG_URL of Glue, Postgres or a REST catalog": not settings.catalog.startswith("sqlite"),
        "MLOPS_LEDGER_URL of Postgres": not settings.ledger.startswith("sqlite"),
        "MLOPS_LANDING_URL of the form s3://": settings.landing.startswith(S3) or not reads_files,
        "MLOPS_EXPORT_URL of the form s3://": settings.exports.startswith(S3) or not below,
        "exports to s3:// in the models' files": not any(place.startswith("/") for place in files),
        "MLOPS_MLFLOW_URL of another machine": not _is_here(settings.mlflow_url) or not specs.models,
    }
    if wanted := [setting for setting, met in lacking.items() if not met]:
        raise SettingsError(
            f"expected {'; and '.join(wanted)}, as MLOPS_JOBS is set, found what is on one machine alone, where a job "
            "cannot reach it"
        )


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def probe(settings: Settings) -> str:
    """What the application is, after all that a job takes from here was written. Raises MlopsError."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    upload(settings)
    try:
        found = boto3.client("emr-serverless").get_application(applicationId=settings.jobs_application)["application"]
    except (BotoCoreError, ClientError) as error:
        kind = ServiceUnavailable if passes(error) else SettingsError  # a misspelt region does not answer, either
        raise kind(
            f"expected an application of EMR Serverless at {settings.jobs} (MLOPS_JOBS), found: {error}; correct its "
            "id, the region (AWS_DEFAULT_REGION), or what this user may do"
        ) from error
    if found["type"].upper() != "SPARK" or found["state"] == "TERMINATED":
        raise SettingsError(
            f"expected a Spark application at {settings.jobs} (MLOPS_JOBS), found {found['type']}, {found['state']}"
        )
    return f"{settings.jobs}, {found['releaseLabel']}, {found['state'].lower()}; {settings.jobs_url} takes files"


def packed_bundle(specs: Path) -> bytes:
    """The library and the users' specifications as a zip archive; the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(_files(specs)):
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _files(specs: Path) -> Iterator[tuple[str, Path]]:
    library = ROOT / "include"
    yield "include/__init__.py", library / "__init__.py"
    for parent, folder in ((library, "mlops"), (specs, "feature_groups"), (specs, "models")):
        for path in (parent / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"include/{path.relative_to(parent).as_posix()}", path


def job_driver(code: Code, order: str) -> dict[str, Any]:
    """What EMR runs: `python -m include.mlops job <order>`, by way of its launcher."""
    return {"sparkSubmit": {"entryPoint": code.launch, "entryPointArguments": ["job", order]}}


def order_of(job_run: dict[str, Any]) -> str:
    """The order that a job run was given."""
    return str(job_run["jobDriver"]["sparkSubmit"]["entryPointArguments"][-1])


def configuration(settings: Settings, code: Code) -> dict[str, Any]:
    """Spark's properties, where the console shows them to anybody: no secret is among them; and where logs go."""
    properties = {
        "spark.archives": f"{code.bundle}#{BUNDLE}",
        "spark.jars": ",".join(code.jars),
        **{f"spark.emr-serverless.driverEnv.{name}": value for name, value in job_variables(settings).items()},
    }
    if settings.jobs_environment_url:
        properties["spark.archives"] += f",{settings.jobs_environment_url}#environment"
        python = "./environment/bin/python"
        for variable in ("driverEnv.PYSPARK_DRIVER_PYTHON", "driverEnv.PYSPARK_PYTHON"):
            properties[f"spark.emr-serverless.{variable}"] = python
        properties["spark.executorEnv.PYSPARK_PYTHON"] = python
    logs = {"s3MonitoringConfiguration": {"logUri": f"{settings.jobs_url.rstrip('/')}/logs/"}}
    return {
        "applicationConfiguration": [{"classification": "spark-defaults", "properties": properties}],
        "monitoringConfiguration": logs,
    }


def job_variables(settings: Settings) -> dict[str, str]:
    """The settings of a job as variables, without secrets: those come from the secret that MLOPS_JOBS_SECRET names."""
    told = {}
    for name in settings.model_fields_set - _OWN:
        value = getattr(settings, name)
        if not isinstance(value, SecretStr) and not name.startswith("jobs") and isinstance(value, (str, int)):
            told[f"MLOPS_{name.upper()}"] = str(value)
    if settings.catalog_kind == "glue":
        told["MLOPS_CATALOG_URL"] = settings.catalog
    return {name: value for name, value in sorted(told.items()) if value} | {SECRET: settings.jobs_secret}


def write_order(settings: Settings, name: str, order: dict[str, Any]) -> str:
    """Keep an order where its job finds it. Returns its address. Raises SettingsError, ServiceUnavailable."""
    url = f"{settings.jobs_url.rstrip('/')}/orders/{name}.json"
    try:
        write_whole(url, json.dumps(order).encode())
    except (OSError, pa.ArrowInvalid) as error:
        raise _unwritable(settings, error) from error
    return url


def read_order(url: str) -> dict[str, Any]:
    """Raises OSError."""
    found: dict[str, Any] = json.loads(read_whole(url).to_pybytes())
    return found


def write_answer(order: str, answer: dict[str, Any]) -> None:
    """What became of an order: `{"result": ...}` or `{"error": ..., "message": ...}`. Raises OSError."""
    write_whole(_answer(order), json.dumps(answer).encode())


def write_failure(order: str, error: Exception) -> None:
    """The answer that raises `error` in the task; what is none of ours is retried as in any task of Airflow's.

    Raises OSError.
    """
    if not isinstance(error, MlopsError):
        kind = ServiceUnavailable if isinstance(error, OSError) else MlopsError
        error = kind(f"{type(error).__name__}: {error}")
    write_answer(order, {"error": type(error).__name__, "message": str(error)})


def read_answer(order: str) -> dict[str, Any] | None:
    """None where the job ended without one. Raises ServiceUnavailable where the store does not answer, SettingsError
    where it refuses.
    """
    try:
        found: dict[str, Any] | None = (
            json.loads(read_whole(_answer(order)).to_pybytes()) if size_of(_answer(order)) is not None else None
        )
    except OSError as error:
        told = f"expected the job's answer at {_answer(order)}, found: {error}"
        if trouble(error) == "refused":
            raise SettingsError(f"{told}; let this user read below MLOPS_JOBS_URL") from error
        raise ServiceUnavailable(told) from error
    return found


def _answer(order: str) -> str:
    return f"{order.removesuffix('.json')}.answer.json"


def _unwritable(settings: Settings, error: Exception) -> Exception:
    told = f"expected a place that takes files at {settings.jobs_url} (MLOPS_JOBS_URL), found: {error}"
    if not isinstance(error, OSError) or trouble(error) == "refused":
        return SettingsError(f"{told}; correct the address, or let this user write there")
    return ServiceUnavailable(told)

"""Where things are: one typed, frozen object, read from the environment (prefix `MLOPS_`).

Every default is the embedded stack on this machine, all of it under one state folder.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.mlops.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = ("spark", "lake", "mlflow", "ledger", "slack")
"""What an Airflow connection `mlops_<name>` can say instead of variables."""
_CONNECTIONS = rf"^({'|'.join(CONNECTIONS)})(,({'|'.join(CONNECTIONS)}))*$|^$"
S3 = ("s3://", "s3a://")
_DATABASES = ("postgresql+psycopg://", "postgresql://", "sqlite:///")
_ENCODED = "expected user:password@host:port, with @, :, /, ? and # of the password percent-encoded (@ is %40)"
_IN_FRONT = (
    "expected no password behind the ?, where messages would show it: write user:password@host; the passphrase of a "
    "client's key belongs into a service file (?service=)"
)
_CATALOGS = ("glue://", "https://", "http://")
_SOURCE_URL = re.compile(r"MLOPS_SOURCE_([A-Z0-9_]+)_URL")
_NAMED_URL = re.compile(r"(SOURCE|EXPORT)_[A-Z0-9_]+_URL")
_NO_SETTINGS = {"LOG", "JOB_SECRET", "STACK_ID", "IMAGE_TAG"}  # ours, read elsewhere


def in_bytes(memory: str) -> int:
    """Of a text such as `2g`, as Java has them. Raises ValueError."""
    units = {"k": 10, "m": 20, "g": 30}
    if not re.fullmatch(r"\d+[kmg]", memory):
        raise ValueError(f"expected a number and k, m or g, as in 2g, found {memory!r}")
    return int(memory[:-1]) << units[memory[-1]]


def names_user(url: str) -> bool:
    """Whether an address holds a user, and perhaps a password, before its host or bucket."""
    host = url.partition("://")[2].partition("/")[0]
    return "@" in host or (url.startswith(S3) and ":" in host)  # the slash of a secret key would end it before the @


def _shows_password(url: str) -> str:
    """Why messages would show a part of the password of a database's address; empty where none would."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is parsed when it is asked for
    except ValueError:
        return _ENCODED
    behind = f"{parts.path}{parts.query}{parts.fragment}" if parts.scheme.startswith("postgresql") else ""
    if parts.netloc.count("@") > 1 or "@" in behind:
        return _ENCODED
    return _IN_FRONT if {"password", "sslpassword"} & {name for name, _ in parse_qsl(parts.query)} else ""


def _source_urls() -> dict[str, SecretStr]:
    found = ((_SOURCE_URL.fullmatch(name), url) for name, url in os.environ.items() if url)
    return {name.group(1).lower(): SecretStr(url) for name, url in found if name}


class Settings(BaseSettings):
    """Addresses and limits; each field is the variable `MLOPS_<FIELD>` in upper case."""

    model_config = SettingsConfigDict(
        env_prefix="MLOPS_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    specs: Path = ROOT / "include"  # holds feature_groups/ and models/
    state: Path = ROOT / ".state"
    landing_url: str = ""  # default: <state>/landing
    warehouse_url: str = ""  # default: <state>/lake/warehouse
    # Default: sqlite under <state>/lake. Or postgresql://, glue://[account], https:// of an Iceberg REST catalog, whose
    # query names more of its properties: `https://host/catalog?warehouse=prod`.
    catalog_url: SecretStr = SecretStr("")
    catalog_credential: SecretStr = SecretStr("")  # client_id:client_secret for a REST catalog
    s3_encryption: Literal["", "sse-s3", "sse-kms"] = ""  # what the warehouse's objects must bear
    s3_kms_key: str = ""  # with sse-kms: the key's ARN, or an alias
    ledger_url: SecretStr = SecretStr("")  # default: sqlite under <state>
    ledger_reader_password: SecretStr = SecretStr("")  # of the database user mlops_reader, whom `prepare` lets read it
    export_url: str = ""  # default: <state>/exports
    host: str = "127.0.0.1"  # where servers that we start listen and are reached; `auto`: this machine's own address
    mlflow_port: int = Field(default=5000, ge=1, le=65535)  # the three ports of the local stack
    airflow_port: int = Field(default=8080, ge=1, le=65535)
    spark_port: int = Field(default=15002, ge=1, le=65535)
    mlflow_store_url: SecretStr = SecretStr("")  # where the MLflow server that we start keeps runs; default: sqlite
    mlflow_artifacts_url: str = ""  # and files; default: the state folder
    mlflow_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known.get('mlflow_port', 5000)}")
    airflow_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known.get('airflow_port', 8080)}")
    mlflow_page_url: str = ""  # as a browser reaches it, where that is not as a task does
    airflow_api_url: str = ""  # as a task reaches it, where that is not as a browser does
    spark_remote: str = Field(default_factory=lambda known: f"sc://127.0.0.1:{known.get('spark_port', 15002)}")
    spark_token: SecretStr = SecretStr("")  # what its clients must show; sent in clear unless there is TLS
    spark_tls: bool = False  # the Spark server is reached by TLS; GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names a private CA
    spark_master: str = "local[*]"  # what the Spark server that we start computes on; spark://host:port
    spark_memory: str = Field(default="3g", pattern=r"^\d+[kmg]$")  # heap of the local Spark server
    spark_executor_memory: str = Field(default="2g", pattern=r"^\d+[kmg]$")  # heap of an executor on a cluster
    spark_properties: str = ""  # a file of more of Spark's own properties for the server that we start
    spark_workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)  # task slots that a training may take
    task_memory: str = Field(
        default="2g", pattern=r"^\d+[kmg]$"
    )  # what one task may hold before Spark carries its data
    # Where Spark's steps run: in the task, by Spark Connect; or as jobs of EMR Serverless.
    jobs: str = Field(default="", pattern=r"^$|^emr-serverless://[0-9a-z]+$")
    jobs_role: str = ""  # ARN of the role that those jobs take
    jobs_url: str = ""  # s3://, below which their code, orders, results and logs are kept
    jobs_secret: str = ""  # name or ARN in Secrets Manager of {"MLOPS_LEDGER_URL": ..., ...}, which the role may read
    jobs_environment_url: str = ""  # s3:// of a packed Python environment; none where the application's image has one
    landed_queue_url: str = ""  # an SQS queue that hears of files that land
    maven_url: str = "https://repo1.maven.org/maven2"
    sample_rows: int = 5000  # rows of a monitoring sample
    maintenance_minutes: int = Field(default=30, ge=1)  # after which `maintain` begins nothing more
    snapshot_days: int = Field(default=30, ge=1)  # how long what no tag holds can be read as it was
    report_days: int = Field(default=365, ge=1)  # how long HTML reports are kept
    connections: str = Field(default="", pattern=_CONNECTIONS)  # those that Airflow holds, as in `ledger,lake,spark`
    source_urls: dict[str, SecretStr] = Field(default_factory=_source_urls)  # MLOPS_SOURCE_<CONNECTION>_URL
    mlflow_user: str = ""
    mlflow_password: SecretStr = SecretStr("")  # of that user; without one, a bearer token
    slack_token: SecretStr = SecretStr("")
    slack_channel: str = "#mlops"
    slack_url: str = "https://slack.com/api/"

    @field_validator("specs", "state", mode="after")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        """Whoever reads them next, in a task or a server, stands in another folder."""
        return path.expanduser().absolute()

    @field_validator("landing_url", "export_url", "spark_properties", mode="after")
    @classmethod
    def _absolute_where_local(cls, url: str) -> str:
        return str(cls._absolute(Path(url))) if url and "://" not in url else url

    @field_validator("spark_remote", mode="after")
    @classmethod
    def _plain_spark(cls, url: str) -> str:
        if ";" in url or not url.startswith("sc://"):
            raise ValueError("expected sc://host:port alone; its token is MLOPS_SPARK_TOKEN, TLS is MLOPS_SPARK_TLS")
        return url

    @field_validator("catalog_url", "ledger_url", "mlflow_store_url")
    @classmethod
    def _database(cls, url: SecretStr, told: ValidationInfo) -> SecretStr:
        """By the form alone; whether it answers, the doctor asks."""
        forms = _DATABASES + (_CATALOGS if told.field_name == "catalog_url" else ())
        if url.get_secret_value() and not url.get_secret_value().startswith(forms):
            raise ValueError(f"expected an address that begins with {', '.join(forms[:-1])} or {forms[-1]}")
        if wrong := _shows_password(url.get_secret_value()):
            raise ValueError(wrong)
        return url

    @field_validator(
        *("spark_remote", "mlflow_url", "mlflow_page_url", "airflow_url", "airflow_api_url"),
        *("landing_url", "warehouse_url", "export_url", "jobs_url", "jobs_environment_url", "landed_queue_url"),
        *("mlflow_artifacts_url", "maven_url", "slack_url"),
    )
    @classmethod
    def _shown(cls, url: str) -> str:
        """Messages show it."""
        if names_user(url):
            raise ValueError("expected an address without user and password, which messages would show")
        return url

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Settings that take one another. Raises ValueError, which names those that are missing."""
        on_s3 = self.warehouse_url.startswith(S3)
        wanted = {
            "MLOPS_CATALOG_URL of the form http(s)://, as MLOPS_CATALOG_CREDENTIAL is set": (
                not self.catalog_credential or self.catalog_kind == "rest"
            ),
            "MLOPS_WAREHOUSE_URL of the form s3://, as MLOPS_S3_ENCRYPTION is set": not self.s3_encryption or on_s3,
            "MLOPS_WAREHOUSE_URL of the form s3://, as MLOPS_CATALOG_URL is Glue's": self.catalog_kind != "glue"
            or on_s3,
            "MLOPS_S3_ENCRYPTION=sse-kms, as MLOPS_S3_KMS_KEY is set": (
                not self.s3_kms_key or self.s3_encryption == "sse-kms"
            ),
            "MLOPS_JOBS_ROLE, an IAM role's ARN, as MLOPS_JOBS is set": not self.jobs
            or self.jobs_role.startswith("arn:"),
            "MLOPS_JOBS_URL of the form s3://, as MLOPS_JOBS is set": not self.jobs or self.jobs_url.startswith(S3),
            "MLOPS_JOBS_SECRET, as MLOPS_JOBS is set": not self.jobs or bool(self.jobs_secret),
            "MLOPS_JOBS, as other settings of jobs are set": bool(self.jobs)
            or not (self.jobs_role or self.jobs_url or self.jobs_secret or self.jobs_environment_url),
            "MLOPS_LANDING_URL of the form s3://, as MLOPS_LANDED_QUEUE_URL is set": (
                not self.landed_queue_url or self.landing_url.startswith(S3)
            ),
            "MLOPS_MLFLOW_PASSWORD, as MLOPS_MLFLOW_USER is set": not self.mlflow_user or bool(self.mlflow_password),
            "both or none of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY": (
                bool(os.environ.get("AWS_ACCESS_KEY_ID")) == bool(os.environ.get("AWS_SECRET_ACCESS_KEY"))
            ),
        }
        if lacking := [setting for setting, met in wanted.items() if not met]:
            raise ValueError("expected " + "; and ".join(lacking))
        return self

    @cached_property
    def address(self) -> str:
        """Of this machine, for servers that we start on it. Raises OSError where its name has none."""
        return socket.gethostbyname(socket.gethostname()) if self.host == "auto" else self.host

    @property
    def task_memory_bytes(self) -> int:
        return in_bytes(self.task_memory)

    @cached_property
    def landing(self) -> str:
        return self.landing_url or str(self.state / "landing")

    @cached_property
    def exports(self) -> str:
        return self.export_url or str(self.state / "exports")

    @property
    def mlflow_page(self) -> str:
        return self.mlflow_page_url or self.mlflow_url

    @property
    def airflow_api(self) -> str:
        return self.airflow_api_url or self.airflow_url

    @cached_property
    def warehouse(self) -> str:
        return self.warehouse_url or f"file://{self.state / 'lake' / 'warehouse'}"

    @property
    def jobs_application(self) -> str:
        """The id of the EMR Serverless application; empty where Spark's steps run in the task."""
        return self.jobs.removeprefix("emr-serverless://")

    @property
    def s3_endpoint(self) -> str:
        """Of an S3 that is not Amazon's, from the variables that AWS's own clients read; else empty."""
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""

    @cached_property
    def catalog(self) -> str:
        return self.catalog_url.get_secret_value() or f"sqlite:///{self.state / 'lake' / 'catalog.db'}"

    @property
    def catalog_kind(self) -> Literal["sql", "glue", "rest"]:
        scheme = self.catalog.partition("://")[0]
        return "glue" if scheme == "glue" else "rest" if scheme in ("http", "https") else "sql"

    @cached_property
    def rest_catalog(self) -> dict[str, str]:
        """What clients of an Iceberg REST catalog are told, in the names that they share."""
        address = urlsplit(self.catalog)
        credential = self.catalog_credential.get_secret_value()
        told = {"uri": address._replace(query="").geturl(), **dict(parse_qsl(address.query))}
        return told | ({"credential": credential} if credential else {})

    @cached_property
    def ledger(self) -> str:
        return self.ledger_url.get_secret_value() or f"sqlite:///{self.state / 'ledger.db'}"

    @cached_property
    def mlflow_store(self) -> str:
        return self.mlflow_store_url.get_secret_value() or f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"

    @cached_property
    def mlflow_artifacts(self) -> str:
        return self.mlflow_artifacts_url or f"file://{self.state / 'mlflow' / 'artifacts'}"

    def source_url(self, connection: str) -> str:
        """The database behind a `connection:` of a specification. Raises SettingsError where none is set."""
        if connection not in self.source_urls:
            known = ", ".join(sorted(self.source_urls)) or "none"
            raise SettingsError(
                f"MLOPS_SOURCE_{connection.upper()}_URL: expected the address of the connection '{connection}', as in "
                f"postgresql://user:password@host/database, found nothing; connections that are set: {known}"
            )
        url = self.source_urls[connection].get_secret_value()
        if wrong := _shows_password(url):
            raise SettingsError(f"MLOPS_SOURCE_{connection.upper()}_URL: {wrong}")
        return url

    @cached_property
    def reports(self) -> Path:
        """HTML reports (validation, drift); the Airflow plugin serves them under `/mlops/reports/`."""
        return self.state / "reports"


SECRETS = tuple(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))
"""Fields that no message shows."""


def export_connection(name: str) -> SecretStr:
    """The SQLAlchemy URL of the variable `MLOPS_EXPORT_<NAME>_URL`. Raises SettingsError where it is not set."""
    variable = f"MLOPS_EXPORT_{name.upper()}_URL"
    if not (url := os.environ.get(variable)):
        raise SettingsError(
            f"expected the address of the database '{name}' in {variable}, found none; set it to an SQLAlchemy URL "
            "such as postgresql+psycopg://user:password@host/database"
        )
    if wrong := _shows_password(url):
        raise SettingsError(f"{variable}: {wrong}")
    return SecretStr(url)


def load_settings() -> Settings:
    """Read the environment. Raises SettingsError naming each bad variable."""
    _require_no_misspelt(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(told_wrong(error)) from None


def _require_no_misspelt(names: Iterable[str]) -> None:
    """A variable that is nearly one of ours was meant to be it; others under our prefix are somebody else's."""
    ours = {name.upper() for name in Settings.model_fields if name != "source_urls"} | _NO_SETTINGS
    found = {}
    for name in (name.removeprefix("MLOPS_") for name in sorted(names) if name.startswith("MLOPS_")):
        near = [f"{name}_URL"] if f"{name}_URL" in ours else difflib.get_close_matches(name, ours, n=1, cutoff=0.85)
        if name not in ours and not _NAMED_URL.fullmatch(name) and near:
            found[name] = near[0]
    if found:
        raise SettingsError(
            "\n".join(f"MLOPS_{name}: no such setting; did you mean MLOPS_{near}?" for name, near in found.items())
        )


def told_wrong(error: ValidationError) -> str:
    """A line for each bad variable; no secret is in it."""
    found = error.errors(include_context=False, include_url=False)
    # Not told: an address whose port is the bad one.
    return "\n".join(_line(e) for e in found if e["type"] != "default_factory_not_called")


def _line(error: ErrorDetails) -> str:
    """The variable, what it should be, and what it is where that cannot hold a secret."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    shows = name not in SECRETS and not ("://" in str(error["input"]) or ";" in str(error["input"]))
    return f"MLOPS_{name.upper()}: {message}" + (f", found {error['input']!r}" if shows else "")

"""Spark's properties of the Iceberg catalog `lake`; `lake/catalog.py` opens the same one without Spark."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from include.mlops.compute.jdbc import jdbc_address
from include.mlops.settings import S3, Settings

CATALOG = "lake"


def iceberg_configuration(settings: Settings) -> dict[str, str]:
    """By `spark.sql.` keys; they may hold the catalog's password. Raises SettingsError for a catalog that Spark cannot
    use.
    """
    name = f"spark.sql.catalog.{CATALOG}"
    catalog = {
        "cache-enabled": "false",  # pyiceberg commits too: a cached table would be a stale one
        "warehouse": settings.warehouse,
        **_catalog(settings),
        **_file_io(settings),
    }
    return {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        name: "org.apache.iceberg.spark.SparkCatalog",
        **{f"{name}.{key}": value for key, value in catalog.items()},
    }


def jdbc_properties(url: str) -> dict[str, str]:
    """Iceberg's JDBC catalog properties (`uri`, and `jdbc.user`, `jdbc.password`) for an SQLAlchemy URL.

    Raises SettingsError for a database other than sqlite and postgresql.
    """
    if url.startswith("sqlite:///"):
        Path(urlsplit(url).path[1:]).absolute().parent.mkdir(parents=True, exist_ok=True)
    address = jdbc_address(url, "MLOPS_CATALOG_URL", sqlite="busy_timeout=30000&journal_mode=WAL")
    return {"uri": address.url} | {f"jdbc.{key}": value for key, value in address.login.items()}


def _catalog(settings: Settings) -> dict[str, str]:
    match settings.catalog_kind:
        case "glue":
            account = urlsplit(settings.catalog).netloc
            return {"type": "glue"} | ({"glue.id": account} if account else {})
        case "rest":
            return {"type": "rest", **settings.rest_catalog}
        case "sql":
            return {
                "type": "jdbc",
                "jdbc.schema-version": "V1",
                "jdbc.init-catalog-tables": "true",
                **jdbc_properties(settings.catalog),
            }


def _file_io(settings: Settings) -> dict[str, str]:
    if not settings.warehouse.startswith(S3):
        return {}
    found = {"io-impl": "org.apache.iceberg.aws.s3.S3FileIO"}
    if settings.s3_endpoint:
        found |= {"s3.endpoint": settings.s3_endpoint, "s3.path-style-access": "true"}
    if settings.s3_encryption:
        found["s3.sse.type"] = {"sse-s3": "s3", "sse-kms": "kms"}[settings.s3_encryption]
    if settings.s3_kms_key:
        found["s3.sse.key"] = settings.s3_kms_key
    return found

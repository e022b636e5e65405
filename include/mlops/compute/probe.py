"""Whether a Spark Connect server is the right one: its version, and that it reads and writes the lake that we do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from include.mlops.errors import SettingsError
from include.mlops.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def server_version(spark: SparkSession, settings: Settings) -> str:
    """The server's. Raises SettingsError where a client of this version does not fit it."""
    import pyspark

    found, ours = spark.version, pyspark.__version__
    if found.split(".")[:2] != ours.split(".")[:2]:
        raise SettingsError(
            f"expected Spark {ours} at {settings.spark_remote} (MLOPS_SPARK_REMOTE), found {found}; start a server of "
            "that version, or install the pyspark of the server's"
        )
    return found


def writes(spark: SparkSession, table: str, ds: date) -> datetime:
    """Read and add to a table of the lake with one row of the day. Returns the server's clock (UTC).

    Raises SettingsError where it does not know the table that we made: its catalog `lake` is another one; and what
    Spark raises.
    """
    from pyspark.errors import AnalysisException

    try:
        (row,) = spark.sql(f"select count(*), unix_micros(current_timestamp()) from lake.{table}").collect()  # noqa: S608
        spark.sql(f"insert into lake.{table} values ('b', date'{ds}')")  # noqa: S608
    except AnalysisException as error:
        raise SettingsError(
            f"expected Spark to read and write {table}, which was made in the lake's catalog, found: "
            f"{str(error).splitlines()[0][:300]}; give the server the catalog `lake` of MLOPS_CATALOG_URL and "
            "MLOPS_WAREHOUSE_URL"
        ) from error
    if row[0] != 1:
        raise SettingsError(f"expected Spark to read the row that was written to {table}, found {row[0]}")
    return datetime.fromtimestamp(row[1] / 1e6, UTC)

"""The Spark of peers that do without this project: a classic local[2] session. It needs a Java in JAVA_HOME or PATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def classic_spark(state: Path, memory: str = "3g") -> Any:
    """A session that has run something, so that its start is not measured."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", memory)
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "50000")
        .config("spark.sql.warehouse.dir", str(state / "classic"))
        .getOrCreate()
    )
    spark.range(1).count()
    return spark

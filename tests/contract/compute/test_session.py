"""What a session promises beyond Spark's own word."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.mlops.compute.session import connect, read_once
from include.mlops.settings import Settings

pytestmark = pytest.mark.slow


def test_rows_read_once_are_found_again_while_another_session_is_the_active_one(
    spark_server: Settings, tmp_path: Path
) -> None:
    first, second = connect(spark_server), connect(spark_server)
    file = tmp_path / "rows.csv"
    try:
        for session in (first, second):
            file.write_text("once\n")
            rows = read_once(session.read.text(str(file)))
            file.write_text("later\n")
            assert [row["value"] for row in rows.select("value").collect()] == ["once"]
    finally:
        second.stop()
        first.stop()

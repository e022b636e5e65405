"""Files that land in a bucket, read by the workers of a cluster."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path

import boto3
import pytest

from include.demo.landing import land_weather
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.publish import ingest_interval
from include.mlops.steps.platform import Platform
from tests.conftest import ON_CLUSTER

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ON_CLUSTER, reason="`make cluster-test` runs it")]
DAY = date(2013, 1, 2)


def test_a_day_that_lands_in_a_bucket_is_ingested(cluster_of_servers: Settings, tmp_path: Path) -> None:
    landed = land_weather(tmp_path, DAY)
    boto3.client("s3").upload_file(str(landed), "landing", f"airport_weather/{landed.name}")
    platform = Platform(
        Settings(**{**cluster_of_servers.model_dump(), "ledger_url": f"sqlite:///{tmp_path}/ledger.db"})
    )
    assert platform.settings.landing == "s3://landing"
    with closing(platform.ledger):
        done = ingest_interval(platform, platform.specs.group("airport_weather"), Interval.day(DAY), "r")
    assert done.rows == {DAY: len(landed.read_text().splitlines()) - 1}

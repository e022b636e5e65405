"""From files and sqlite to S3 and Postgres, and back: the same world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from include.mlops.steps.backup.backup import BackedUp, backup
from include.mlops.steps.backup.restore import restore
from tests.aws import aws, bucket
from tests.integration.backup.conftest import mlflow
from tests.integration.scoring.world import FLIGHTS, V1_AS_OF, World, day
from tests.postgres import database_of_its_own

pytestmark = pytest.mark.slow
BUCKETS = ("lake", "mlflow", "backups")


def quietly(_: str) -> None:
    """Where lines of progress go."""


@pytest.fixture
def places(postgres: str) -> Iterator[dict[str, str]]:
    """Settings of empty databases and buckets."""
    with ExitStack() as opened:
        opened.enter_context(aws())
        for name in BUCKETS:
            bucket(name)
        catalog, ledger, runs = (opened.enter_context(database_of_its_own(postgres)) for _ in range(3))
        yield {
            "catalog_url": catalog,
            "ledger_url": ledger,
            "warehouse_url": "s3://lake/warehouse",
            "mlflow_store_url": runs,
            "mlflow_artifacts_url": "s3://mlflow/artifacts",
        }


def test_a_world_moves_to_s3_and_postgres_and_back_and_scores_as_before(
    world: World, backed_up: tuple[Path, BackedUp], another: Callable[..., World], places: dict[str, str]
) -> None:
    there, back = another(**places), another()
    restore(there.platform, str(backed_up[0]), "", quietly)
    assert there.platform.ledger.counts() == backed_up[1].point.ledger.rows
    assert there.platform.lake.table(FLIGHTS.table).location().startswith("s3://lake/warehouse/")
    there.publish_flights(30)  # numbers of new rows go on after those restored
    assert there.platform.ledger.publications.frontier(FLIGHTS.table) == day(30)

    moved = backup(there.platform, "s3://backups/mlops", quietly)
    assert backup(there.platform, "s3://backups/mlops", quietly).copied == 0
    there.platform.lake.catalog.close()
    there.platform.ledger.close()
    restore(back.platform, "s3://backups/mlops", "", quietly)
    assert moved.point.registry.rows == backed_up[1].point.registry.rows
    night = V1_AS_OF + 4
    with mlflow(back.platform.settings):
        back.score(night)
    world.score(night)
    ours, theirs = (one.predictions(night).drop_columns(["run_id", "scored_at"]) for one in (back, world))
    assert ours.equals(theirs)


def test_a_world_moves_into_a_catalog_of_glue(backed_up: tuple[Path, BackedUp], another: Callable[..., World]) -> None:
    with aws():
        bucket("glue")
        there = another(catalog_url="glue://", warehouse_url="s3://glue/warehouse")
        restore(there.platform, str(backed_up[0]), "", quietly)
        assert there.predictions(V1_AS_OF + 1).num_rows > 0
        there.publish_flights(30)
        again = backup(there.platform, "s3://glue/backups", quietly).point
    assert [table.name for table in again.tables] == [table.name for table in backed_up[1].point.tables]

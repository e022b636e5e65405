"""S3 on a bad day: what is short is sat out by its clients, what lasts is told, and the next try ends well."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.mlops.compute.emr_serverless import read_answer, write_order
from include.mlops.compute.session import connect
from include.mlops.errors import ExportFailed, ServiceUnavailable, SettingsError
from include.mlops.exports.files import DayFiles
from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.sources.landing import inspect, landed
from include.mlops.steps.backup.place import Place
from include.mlops.steps.training.train import train
from include.mlops.stored_files import file_system
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome
from tests.integration.faults.dying import Point
from tests.integration.faults.troubled_s3 import Trouble, TroubledS3, troubled_s3
from tests.integration.ingest.bundle import Bundle
from tests.integration.ingest.bundle import day as march
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import FLIGHTS, V1_AS_OF, World, day, days, flights, late_flights

pytestmark = pytest.mark.slow

DRAFT, STAGING = "include.mlops.lake.drafts", "include.mlops.lake.staging"
WAREHOUSE = {"warehouse_url": "s3://lake/warehouse"}


@pytest.fixture(scope="module")
def s3() -> Iterator[TroubledS3]:
    with troubled_s3() as server:
        boto3.client("s3").create_bucket(Bucket="lake")
        yield server


@pytest.fixture(autouse=True)
def _well_again(s3: TroubledS3) -> Iterator[None]:
    yield
    s3.end()


def _world(home: Home, state: object, **places: str) -> World:
    made = World.of(str(state), home.mlflow_url, home.model, **places)
    every = list(days(1, 30))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, 31))
    made.live(1, V1_AS_OF + 1)
    return made


@pytest.fixture(scope="module")
def world(s3: TroubledS3, home: Home, tmp_path_factory: pytest.TempPathFactory) -> World:
    return _world(home, tmp_path_factory.mktemp("on-s3"), **WAREHOUSE)


@pytest.fixture(scope="module")
def clean(home: Home, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same on files, where nothing happens."""
    return _world(home, tmp_path_factory.mktemp("clean"))


@pytest.mark.parametrize(
    ("trouble", "requests"),
    exhaustive([("slow down", 2), ("cut", 1), ("late", 4)], 0),
    ids=["slow down", "cut", "late"],
)
def test_a_short_trouble_is_sat_out_while_days_are_scored(
    s3: TroubledS3, world: World, clean: World, trouble: Trouble, requests: int
) -> None:
    number = {"slow down": 16, "cut": 17, "late": 18}[trouble]
    with Point(f"{DRAFT}:Draft.write").happens(lambda: s3.begin(trouble, requests)):
        world.score(number)
    assert s3.seen == requests
    clean.score(number)
    assert outcome.scores(world, number, number) == outcome.scores(clean, number, number)


@pytest.mark.parametrize(
    ("point", "trouble", "number"),
    exhaustive(
        [
            (Point(f"{DRAFT}:Draft.write"), "slow down", 20),
            (Point(f"{DRAFT}:_replace"), "slow down", 21),
            (Point(f"{DRAFT}:_replace"), "cut", 22),
        ],
        1,
    ),
    ids=str,
)
def test_s3_that_stays_in_trouble_fails_a_scoring_that_the_next_try_makes_good(
    s3: TroubledS3, world: World, clean: World, point: Point, trouble: Trouble, number: int
) -> None:
    with (
        point.happens(lambda: s3.begin(trouble)),
        pytest.raises(ServiceUnavailable, match=r"S3 did not take or give .*MLOPS_WAREHOUSE_URL"),
    ):
        world.score(number)
    s3.end()
    assert world.platform.ledger.publications.over(world.model.predictions, days(number, number)) == {}
    world.score(number)
    clean.score(number)
    assert outcome.scores(world, number, number) == outcome.scores(clean, number, number)


def test_a_bucket_that_lets_us_in_no_more_is_told_with_its_setting_and_not_tried_again(
    s3: TroubledS3, world: World, clean: World
) -> None:
    with (
        Point(f"{DRAFT}:Draft.write").happens(lambda: s3.begin("denied")),
        pytest.raises(SettingsError, match=r"MLOPS_WAREHOUSE_URL.*keys"),
    ):
        world.score(24)
    s3.end()
    world.score(24)
    clean.score(24)
    assert outcome.scores(world, 24, 24) == outcome.scores(clean, 24, 24)


def test_a_bucket_that_lets_us_in_no_more_is_told_in_the_same_way_of_landed_files_backups_and_jobs(
    s3: TroubledS3,
) -> None:
    rows = "s3://lake/in/rows.parquet"
    with file_system(rows)[0].open_output_stream("lake/in/rows.parquet") as file:
        pq.write_table(flights(day(1)), file)
    parquet = FLIGHTS.model_copy(update={"source": FLIGHTS.source.model_copy(update={"format": "parquet"})})
    with (
        Point("include.mlops.sources.landing:_inspect_parquet").happens(lambda: s3.begin("denied")),
        pytest.raises(SettingsError, match=r"MLOPS_LANDING_URL.*refused us s3://lake/in/rows.*ACCESS_DENIED"),
    ):
        inspect(parquet, rows)
    with pytest.raises(SettingsError, match=r"MLOPS_LANDING_URL"):
        landed(rows)
    with pytest.raises(SettingsError, match=r"s3://lake/backups cannot be used: .*let this user in"):
        Place("s3://lake/backups").points()
    with pytest.raises(SettingsError, match=r"let this user read below MLOPS_JOBS_URL"):
        read_answer("s3://lake/jobs/order.json")
    with pytest.raises(ExportFailed, match=r"refused us s3://lake/out/2013-01-01.parquet.*let this user write there"):
        DayFiles("parquet", "s3://lake/out/{ds}.parquet").replace(day(1), flights(day(1)), ["carrier", "flight"])
    with pytest.raises(SettingsError, match=r"MLOPS_JOBS_URL.*let this user write there"):
        write_order(Settings.model_construct(jobs_url="s3://lake/jobs"), "order", {})


def test_s3_in_trouble_fails_a_training_that_the_next_try_makes_good(s3: TroubledS3, world: World, home: Home) -> None:
    model = late_flights(f"late_{uuid.uuid4().hex[:8]}")
    point = Point("include.mlops.steps.training.train:Parts.read")
    with point.happens(lambda: s3.begin("slow down")), pytest.raises(ServiceUnavailable, match="MLOPS_WAREHOUSE_URL"):
        train(world.platform, model, day(V1_AS_OF), "unlucky")
    s3.end()
    found = train(world.platform, model, day(V1_AS_OF), "run")
    assert found.sha256 == home.world.platform.registry.version(home.model, 1).sha256


@pytest.fixture(scope="module")
def clean_days(new_bundle: Callable[[], Bundle]) -> dict[int, Any]:
    return outcome.clean_days(new_bundle(), range(2, 6))


@pytest.fixture(scope="module")
def bundle(s3: TroubledS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """On a Spark server of its own, whose warehouse is that bucket."""
    state = tmp_path_factory.mktemp("spark-on-s3")
    settings = Settings(state=state, specs=state / "include", spark_port=free_port(), **WAREHOUSE)
    with Supervisor(state / "logs") as supervisor:
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        session = connect(settings)
        made = outcome.landed(Bundle(settings, session), range(1, 6))
        made.run(made.readings, march(1))
        yield made
        session.stop()


@pytest.mark.parametrize(("trouble", "number"), exhaustive([("slow down", 2), ("cut", 3)], 1))
def test_a_short_trouble_is_sat_out_while_spark_writes(
    s3: TroubledS3, bundle: Bundle, clean_days: dict[int, Any], trouble: Trouble, number: int
) -> None:
    with Point(f"{STAGING}:_picked").happens(lambda: s3.begin(trouble, 1)):
        bundle.run(bundle.readings, march(number))
    assert s3.seen == 1
    assert outcome.features(bundle, number, number) == clean_days[number]


@pytest.mark.parametrize(
    ("step", "number"), exhaustive([("include.mlops.steps.ingestion.ingest:stage", 4), (f"{STAGING}:_picked", 5)], 1)
)
def test_ten_seconds_of_slow_down_are_sat_out_by_spark(
    s3: TroubledS3, bundle: Bundle, clean_days: dict[int, Any], step: str, number: int
) -> None:
    """Iceberg's own client waits and asks again, for minutes."""

    def for_ten_seconds() -> None:
        s3.begin("slow down")
        threading.Timer(10, s3.end).start()

    with Point(step).happens(for_ten_seconds):
        try:
            bundle.run(bundle.readings, march(number))
        except (
            ServiceUnavailable
        ):  # where we read ourselves, whose client gives up sooner: tried again, as Airflow does
            time.sleep(10)
            bundle.run(bundle.readings, march(number))
    assert s3.seen
    assert outcome.features(bundle, number, number) == clean_days[number]

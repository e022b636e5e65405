"""Ledger and catalog on one Postgres, which is killed in the middle of a step: a clear error that a retry can mend."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from include.mlops.compute.session import connect
from include.mlops.errors import ServiceUnavailable
from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.steps.monitoring.performance import measure
from include.mlops.steps.release import release
from include.mlops.steps.training.train import train
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome
from tests.integration.faults.dying import Point
from tests.integration.ingest.bundle import Bundle
from tests.integration.ingest.bundle import day as march
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import V1_AS_OF, World, day, days, flights, late_flights
from tests.postgres import MortalPostgres, mortal_postgres

pytestmark = pytest.mark.slow

LEDGER, DRAFT, STAGING = "include.mlops.ledger", "include.mlops.lake.drafts", "include.mlops.lake.staging"
PUBLICATIONS = f"{LEDGER}.publications:Publications"


@pytest.fixture(scope="module")
def postgres() -> Iterator[MortalPostgres]:
    with mortal_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def world(postgres: MortalPostgres, home: Home, tmp_path_factory: pytest.TempPathFactory) -> World:
    places = {"catalog_url": postgres.url, "ledger_url": postgres.url}
    made = World.of(tmp_path_factory.mktemp("on-postgres"), home.mlflow_url, home.model, **places)
    every = list(days(1, 30))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, 31))
    made.live(1, V1_AS_OF + 1)
    return made


@pytest.fixture(scope="module")
def clean(home: Home, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same on sqlite, where nothing happens."""
    made = World.of(tmp_path_factory.mktemp("clean"), home.mlflow_url, home.model)
    every = list(days(1, 30))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, 31))
    made.live(1, V1_AS_OF + 1)
    return made


def _without(postgres: MortalPostgres, point: Point, step: Callable[[], object]) -> None:
    """The server dies at that point of the step, which says so, and is there again for the next."""
    try:
        with point.happens(postgres.kill), pytest.raises(ServiceUnavailable, match="did not answer") as caught:
            step()
    finally:
        postgres.start()
    assert "postgresql" in str(caught.value) or "lake's catalog" in str(caught.value)


SCORING = [
    Point("include.mlops.ledger.releases:Releases.live", call=2),
    Point(f"{DRAFT}:Draft.write", call=1),
    Point(f"{DRAFT}:_replace"),
    Point(f"{PUBLICATIONS}.record"),
    Point(f"{LEDGER}.monitoring:Monitoring.record"),
]


@pytest.mark.parametrize("number", exhaustive(range(len(SCORING)), 2, 3), ids=[str(point) for point in SCORING])
def test_postgres_dies_while_days_are_scored(postgres: MortalPostgres, world: World, clean: World, number: int) -> None:
    first, last = 16 + 2 * number, 17 + 2 * number
    _without(postgres, SCORING[number], lambda: world.score(first, last, "unlucky"))
    world.score(first, last)
    clean.score(first, last)
    assert outcome.scores(world, first, last) == outcome.scores(clean, first, last)


def test_ten_seconds_without_postgres_are_sat_out_by_a_task_that_is_tried_again(
    postgres: MortalPostgres, world: World, clean: World
) -> None:
    """As Airflow does: what is transient is tried again after a while, what is not fails."""
    back = threading.Timer(10, postgres.start)

    def out_for_ten_seconds() -> None:
        postgres.kill()
        back.start()

    tries = 0
    with Point(f"{DRAFT}:_replace").happens(out_for_ten_seconds):
        while True:
            tries += 1
            try:
                world.score(28, 29)
            except ServiceUnavailable:
                time.sleep(3)
            else:
                break
    back.join()
    assert tries > 1
    clean.score(28, 29)
    assert outcome.scores(world, 28, 29) == outcome.scores(clean, 28, 29)


@pytest.mark.parametrize("point", exhaustive(SCORING[2:4], 1), ids=str)
def test_an_address_that_leads_to_a_standby_is_told_as_transient(
    postgres: MortalPostgres, world: World, clean: World, point: Point
) -> None:
    """As for a while after a failover: the server answers, and only reads."""
    try:
        with (
            point.happens(lambda: _reads_alone(postgres, "on")),
            pytest.raises(ServiceUnavailable, match=r"did not answer: .*read-only transaction"),
        ):
            world.score(26, 27, "unlucky")
    finally:
        _reads_alone(postgres, "off")
    world.score(26, 27)
    clean.score(26, 27)
    assert outcome.scores(world, 26, 27) == outcome.scores(clean, 26, 27)


def _reads_alone(postgres: MortalPostgres, said: str) -> None:
    """All connections from now on; those that are open end."""
    engine = create_engine(postgres.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        name = make_url(postgres.url).database
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {said}'))
        others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        connection.execute(others)


def test_connections_that_a_restart_of_postgres_cut_are_opened_anew(postgres: MortalPostgres, world: World) -> None:
    """Of the ledger's pool, and of the catalog's: nobody notices."""
    world.score(30)
    postgres.kill()
    postgres.start()
    assert world.predictions(30).num_rows == 120
    assert world.platform.ledger.publications.frontier(world.model.predictions) is not None


def test_postgres_dies_while_a_model_is_released(postgres: MortalPostgres, world: World) -> None:
    """Between the promotion and its decision: the next try finds the one and makes the other."""
    model = late_flights(f"late_{uuid.uuid4().hex[:8]}")
    train(world.platform, model, day(V1_AS_OF), "training")
    point = Point(f"{LEDGER}.releases:Releases.decide")
    _without(postgres, point, lambda: release(world.platform, model, 1, day(V1_AS_OF), "test", "unlucky"))
    assert release(world.platform, model, 1, day(V1_AS_OF), "test", "run").outcome == "promoted"
    releases = world.platform.ledger.releases
    assert [(one.version, one.last_ds) for one in releases.intervals(model.name)] == [(1, None)]
    assert len(releases.decisions(model.name)) == 1


def test_postgres_dies_while_a_model_is_trained(postgres: MortalPostgres, world: World, home: Home) -> None:
    model = late_flights(f"late_{uuid.uuid4().hex[:8]}")
    point = Point("include.mlops.steps.training.training_set:select")
    _without(postgres, point, lambda: train(world.platform, model, day(V1_AS_OF), "unlucky"))
    found = train(world.platform, model, day(V1_AS_OF), "run")
    assert found.sha256 == home.world.platform.registry.version(home.model, 1).sha256


@pytest.mark.parametrize("kind", exhaustive(["drift", "performance"], 1))
def test_postgres_dies_while_a_day_is_judged(postgres: MortalPostgres, world: World, clean: World, kind: str) -> None:
    """Between the metrics and the verdict."""
    for one in (world, clean):
        one.score(16)

    def judge(one: World, run_id: str = "run") -> object:
        return one.monitor(16, run_id) if kind == "drift" else measure(one.platform, one.model, days(16, 16), run_id)

    _without(postgres, Point(f"{LEDGER}.monitoring:Monitoring.judge"), lambda: judge(world, "unlucky"))
    judge(world)
    judge(clean)
    assert outcome.metrics(world, kind, 16, 16) == outcome.metrics(clean, kind, 16, 16)


@pytest.fixture(scope="module")
def clean_days(new_bundle: Callable[[], Bundle]) -> dict[int, Any]:
    return outcome.clean_days(new_bundle(), range(1, len(INGESTION) + 1))


@pytest.fixture(scope="module")
def bundle(postgres: MortalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """On a Spark server of its own, whose catalog is that Postgres."""
    state = tmp_path_factory.mktemp("spark-on-postgres")
    settings = Settings(
        state=state, specs=state / "include", catalog_url=postgres.url, ledger_url=postgres.url, spark_port=free_port()
    )
    with Supervisor(state / "logs") as supervisor:
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        session = connect(settings)
        yield outcome.landed(Bundle(settings, session), range(1, len(INGESTION) + 1))
        session.stop()


INGESTION = [
    Point("include.mlops.steps.ingestion.ingest:stage"),
    Point("include.mlops.steps.ingestion.validate:Judge"),
    Point(f"{STAGING}:_picked"),
    Point(f"{PUBLICATIONS}.record"),
]


@pytest.mark.parametrize("number", exhaustive(range(len(INGESTION)), 0, 2), ids=[str(point) for point in INGESTION])
def test_postgres_dies_while_a_day_is_ingested(
    postgres: MortalPostgres, bundle: Bundle, clean_days: dict[int, Any], number: int
) -> None:
    """Spark's connections to the catalog and ours die, and are opened anew by the next tries: a pool that lost several
    connections may need one for each.
    """
    ds = march(number + 1)
    try:
        with INGESTION[number].happens(postgres.kill), pytest.raises(ServiceUnavailable, match="did not answer"):
            bundle.run(bundle.readings, ds)
    finally:
        postgres.start()
    try:
        bundle.run(bundle.readings, ds)
    except ServiceUnavailable:
        bundle.run(bundle.readings, ds)
    assert outcome.features(bundle, number + 1, number + 1) == clean_days[number + 1]

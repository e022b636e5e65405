"""Two runs of the same days at once, and commits by others meanwhile: newer rows stay, and the record tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.ingest import ingest
from include.mlops.steps.ingestion.publish import publish
from include.mlops.steps.ingestion.validate import validate
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome, steps
from tests.integration.faults.dying import Point, start
from tests.integration.faults.steps import Airline
from tests.integration.ingest.bundle import Bundle, change, day, readings
from tests.integration.scoring.world import World, days, flights
from tests.integration.scoring.world import day as january
from tests.postgres import database_of_its_own

pytestmark = pytest.mark.slow

PUBLISH, RECORD = "include.mlops.lake.drafts:Draft.publish", "include.mlops.ledger.publications:Publications.record"
STAGING = "include.mlops.lake.staging"


@pytest.fixture(params=["sqlite", "Postgres"])
def empty(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Settings]:
    """Of a lake to which nothing was ever written: its catalog has no tables of its own yet."""
    if request.param == "sqlite":
        yield settings
        return
    with database_of_its_own(request.getfixturevalue("postgres")) as url:
        yield Settings(**{**settings.model_dump(), "catalog_url": url})


@pytest.mark.parametrize(
    "point",
    [
        Point("sqlalchemy.sql.ddl:SchemaGenerator.visit_table"),
        Point("pyiceberg.catalog.sql:SqlCatalog.namespace_exists", after=True),
        Point("pyiceberg.catalog.sql:new_table_metadata"),
    ],
    ids=str,
)
def test_a_rival_makes_the_first_table_at_the_same_moment(empty: Settings, point: Point) -> None:
    """As the models of a new installation do on their first night, each its own; here even the same one."""
    columns = {"key": "string", "ds": "date"}
    with point.happens(lambda: Lake(empty).create("predictions.late", columns)):
        Lake(empty).create("predictions.late", columns)
    Lake(empty).create("predictions.early", columns)
    assert sorted(Lake(empty).catalog.list_tables("predictions")) == [("predictions", "early"), ("predictions", "late")]


def _one_story(world: World, first: int, last: int) -> set[str]:
    """The runs whose rows readers see: for each day, the one that the record names."""
    rows = world.predictions(first, last).select(["ds", "run_id"]).to_pylist()
    records = world.platform.ledger.publications.over(world.model.predictions, days(first, last))
    seen = {ds: {row["run_id"] for row in rows if row["ds"] == ds} for ds in records}
    assert seen == {ds: {one.run_id} for ds, one in records.items()}
    return set().union(*seen.values())


@pytest.mark.parametrize(
    ("point", "stays"),
    exhaustive([(Point(PUBLISH), "slow"), (Point(PUBLISH, after=True), "rival"), (Point(RECORD), "rival")], 0, 2),
    ids=str,
)
def test_a_rival_scores_the_same_days_before_and_after_our_commit(
    airline: Airline, another_world: Callable[[], World], point: Point, stays: str
) -> None:
    world, clean = airline.open(), another_world()
    with point.happens(lambda: airline.open().score(16, 17, "rival")):
        world.score(16, 17, "slow")
    assert _one_story(world, 16, 17) == {stays}
    clean.score(16, 17)
    assert outcome.scores(world, 16, 17) == outcome.scores(clean, 16, 17)


def test_a_slow_scoring_does_not_cover_scores_made_meanwhile_from_newer_features(
    airline: Airline, another_world: Callable[[], World]
) -> None:
    world, clean = airline.open(), another_world()
    restated = flights(january(16), hour=pa.array([5] * 120, pa.int32()))

    def rival() -> None:
        other = airline.open()
        other.publish(restated, [january(16)])
        other.score(16, 16, "rival")

    with Point("include.mlops.steps.scoring.score:_judged").happens(rival):
        world.score(16, 17, "slow")
    assert _one_story(world, 16, 16) == {"rival"}
    assert _one_story(world, 17, 17) == {"slow"}
    clean.publish(restated, [january(16)])
    clean.score(16, 17)
    assert outcome.scores(world, 16, 17) == outcome.scores(clean, 16, 17)


def test_three_processes_score_overlapping_days_at_once(airline: Airline, another_world: Callable[[], World]) -> None:
    spans = [(16, 18), (17, 19), (18, 20)]
    running = [start(None, steps.score_days, airline, *span, f"run {span}") for span in spans]
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0, 0, 0]
    world, clean = airline.open(), another_world()
    _one_story(world, 16, 20)
    clean.score(16, 20)
    assert outcome.scores(world, 16, 20) == outcome.scores(clean, 16, 20)


def test_two_backfills_of_scores_over_the_same_days_at_once(
    airline: Airline, another_world: Callable[[], World]
) -> None:
    running = [start(None, steps.backfill_scores, airline, 16, 21, f"backfill {n}") for n in (1, 2)]
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0, 0]
    world, clean = airline.open(), another_world()
    _one_story(world, 16, 21)
    clean.score(16, 21)
    assert outcome.scores(world, 16, 21) == outcome.scores(clean, 16, 21)


def _landed(bundle: Bundle) -> Bundle:
    bundle.write_readings()
    for number in (4, 5):
        bundle.land(bundle.readings, day(number), change(readings(day(number)), 2, value=7.0))
    return bundle


@pytest.fixture(scope="module")
def clean_days(new_bundle: Callable[[], Bundle]) -> object:
    bundle = _landed(new_bundle())
    bundle.run(bundle.readings, day(4), day(5))
    return outcome.features(bundle, 4, 5)


@pytest.mark.parametrize(
    "point",
    exhaustive([Point(f"{STAGING}:_picked"), Point(f"{STAGING}:_picked", after=True), Point(f"{STAGING}:_copy")], 1, 2),
    ids=str,
)
def test_a_rival_publishes_the_same_days_while_ours_are_published(
    new_bundle: Callable[[], Bundle], clean_days: object, point: Point
) -> None:
    """Before our cherry-pick, after it, and before the copy that takes its place where the rival was first."""
    bundle = _landed(new_bundle())
    bundle.run(bundle.readings, day(4), day(4), "yesterday")
    rival = lambda: bundle.run(bundle.readings, day(4), day(5), "rival")  # noqa: E731
    if point.function.endswith("_copy"):
        with Point(f"{STAGING}:_picked").happens(rival), point.happens(rival):
            bundle.run(bundle.readings, day(4), day(5), "slow")
    else:
        with point.happens(rival):
            bundle.run(bundle.readings, day(4), day(5), "slow")
    assert outcome.features(bundle, 4, 5) == clean_days


def test_two_backfills_of_features_over_the_same_days_at_once(
    new_bundle: Callable[[], Bundle], clean_days: object
) -> None:
    """One that was overtaken in the middle of a commit is tried again, as Airflow does with what is transient."""
    bundle = _landed(new_bundle())
    arguments = (bundle.settings, bundle.readings, day(4), day(5))
    running = [start(None, steps.backfill_group, *arguments, f"backfill {n}") for n in (1, 2)]
    for process in running:
        process.join(120)
    assert 0 in [process.exitcode for process in running]
    for number, process in enumerate(running, 1):
        if process.exitcode:
            steps.backfill_group(*arguments, f"backfill {number}")
    assert outcome.features(bundle, 4, 5) == clean_days


def test_a_tag_and_a_property_that_somebody_commits_between_staging_and_publishing(
    new_bundle: Callable[[], Bundle], clean_days: object
) -> None:
    """As a training tags what it reads, and as upkeep of the table commits."""
    bundle = _landed(new_bundle())
    bundle.run(bundle.readings, day(4), day(4), "yesterday")
    platform = bundle.platform()
    group = platform.specs.group(bundle.readings)
    ingested = ingest(platform, group, Interval(day(4), day(5)), "run")
    platform.lake.tag(group.table, "training")
    with platform.lake.table(group.table).transaction() as transaction:
        transaction.set_properties({"upkeep": "done"})
    publish(platform, group, ingested, validate(platform, group, ingested))
    assert outcome.features(bundle, 4, 5) == clean_days
    assert "training" in platform.lake.table(group.table).refs()

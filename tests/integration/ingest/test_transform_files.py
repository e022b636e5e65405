"""What a wrong transform.py or a lost Spark server is told as."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.connect.client.retries import DefaultPolicy

from include.mlops.compute.session import connect
from include.mlops.errors import MlopsError, ServiceUnavailable, SpecError
from include.mlops.features import Reads
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.ingest import ingest
from include.mlops.steps.ingestion.publish import publish
from include.mlops.steps.ingestion.transformed import transformed
from include.mlops.steps.ingestion.validate import validate
from tests.integration.ingest.bundle import READINGS, Bundle, day, readings
from tests.integration.ingest.forwarder import Forwarder

pytestmark = pytest.mark.slow
DS = day(1)
HEAD = "from pyspark.sql import functions as F\n\ndef transform(rows, reads):\n"
WRONG = {
    "raises": ("    return 1 / 0\n", "transform.py:4: transform() raised ZeroDivisionError: division by zero"),
    "reads what is not declared": (
        "    x = 1\n    return reads['weather'].rows\n",
        "transform.py:5: transform() raised KeyError: \"'weather' is not declared under reads:",
    ),
    "returns nothing": (
        "    rows.withColumn('hour', F.hour('at'))\n",
        "transform.py: expected transform() to return a DataFrame, found NoneType",
    ),
    "drops columns": (
        "    return rows.drop('value', 'known_from')\n",
        "transform.py: expected the columns value, hour, known_from in what transform() returns, found at, availa",
    ),
    "returns text for a number": (
        "    return rows.withColumns({'hour': F.lit(1), 'value': F.col('note')})\n",
        "transform.py: expected value of type double in what transform() returns, found string; cast it there",
    ),
    "returns a fraction for a whole number": (
        "    return rows.withColumn('hour', F.lit(0.5).cast('double'))\n",
        "transform.py: expected hour of type int in what transform() returns, found double",
    ),
}


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    made = new_bundle()
    made.write_readings()
    made.land(made.readings, DS, readings(DS))
    return made


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_transform_is_named_by_file_and_fault(bundle: Bundle, spark: SparkSession, case: str) -> None:
    body, said = WRONG[case]
    bundle.write_readings(HEAD + body)
    noon = dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
    system = {"event_time": noon, "available_at": noon, "known_from": DS, "ds": DS}
    rows = spark.createDataFrame([{"sensor": "a", "slot": 1, "at": noon, "value": 1.0, "note": "n", **system}])
    with pytest.raises(SpecError) as caught:
        transformed(bundle.group(bundle.readings), rows, Reads({}))
    assert f"{bundle.settings.specs}/feature_groups/{bundle.readings}/{said}" in str(caught.value)


def test_a_transform_that_cannot_be_imported_is_named(bundle: Bundle) -> None:
    bundle.write_readings("import no_such_library\n" + READINGS)
    with pytest.raises(
        SpecError, match=r"transform\.py: importing it raised ModuleNotFoundError: No module named 'no_such"
    ):
        bundle.run(bundle.readings, DS)


def test_a_column_that_does_not_exist_is_told_with_the_file(bundle: Bundle) -> None:
    bundle.write_readings(HEAD + "    return rows.withColumn('hour', F.hour('att'))\n")
    with pytest.raises(MlopsError, match=r"transform\.py: .*UNRESOLVED_COLUMN.*att") as caught:
        bundle.run(bundle.readings, DS)
    assert not caught.value.transient


def test_rows_moved_to_another_day_are_refused(bundle: Bundle) -> None:
    moved = "    return rows.withColumns({'hour': F.lit(1), 'ds': F.date_add('ds', F.col('slot'))})\n"
    bundle.write_readings(HEAD + moved)
    with pytest.raises(MlopsError, match=r"expected rows of the days 2013-03-01 .* found some of 2013-03-02 too"):
        bundle.run(bundle.readings, DS)
    assert bundle.rows(bundle.readings, DS, day(2)) == []


def test_a_day_of_which_nothing_is_left_is_published_empty(bundle: Bundle) -> None:
    bundle.write_readings(READINGS)
    bundle.run(bundle.readings, DS)
    assert len(bundle.rows(bundle.readings, DS)) == 6
    bundle.write_readings(READINGS.replace("return rows", "return rows.where('slot > 5')"))
    bundle.run(bundle.readings, DS, restated="all of it was wrong")
    assert bundle.rows(bundle.readings, DS) == []
    assert bundle.published(bundle.readings, DS)[DS].rows == 0


@pytest.fixture
def cut_off(bundle: Bundle) -> Iterator[SparkSession]:
    """A session whose server is gone: its connections were cut and nobody listens any more."""
    with Forwarder(bundle.settings.spark_remote) as forwarder:
        session = connect(bundle.settings.model_copy(update={"spark_remote": forwarder.address}))
    session.client.set_retry_policies([DefaultPolicy(max_retries=1)])
    yield session
    session.client.close()


def test_a_lost_spark_server_is_worth_trying_again(bundle: Bundle, cut_off: SparkSession) -> None:
    bundle.write_readings(READINGS)
    platform, lost = bundle.platform(), bundle.platform()
    vars(lost)["spark"] = cut_off
    group = platform.specs.group(bundle.readings)
    with pytest.raises(ServiceUnavailable, match=f"lost while reading the source of {bundle.readings} 2013-03-01"):
        ingest(lost, group, Interval.day(DS), "lost", restated="yes")
    staged = ingest(platform, group, Interval.day(DS), "staged", restated="yes")
    judged = validate(platform, group, staged)
    with pytest.raises(ServiceUnavailable, match=f"Spark was lost while publishing {bundle.readings}"):
        publish(lost, group, staged, judged)
    publish(platform, group, staged, judged)
    assert bundle.published(bundle.readings, DS)[DS].run_id == "staged"

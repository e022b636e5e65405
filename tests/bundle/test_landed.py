"""Files that land, by messages of an SQS queue (moto's server) and Airflow's own database and triggerer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from include.mlops.alerts.alert import Alert
from include.mlops.ledger.publications import Publication
from include.mlops.policy.staleness import FILE
from include.mlops.settings import ROOT
from include.mlops.sources.landing import identity
from include.mlops.steps.ingestion.landings import landings
from tests.aws import aws, bucket
from tests.bundle.runs import Run
from tests.bundle.triggerer import triggerer

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

    from include.mlops.steps.platform import Platform

pytestmark = pytest.mark.slow
GROUP, TABLE, DAY = "flight_outcomes", "features.flight_outcomes_v1", date(2013, 4, 5)
KEY = f"{GROUP}/{DAY}.csv"


@dataclass
class Landing:
    """A bucket that files land in, whose queue hears of it, and Airflow with the DAGs that read the queue."""

    bag: DagBag
    queue_url: str
    rooms: Platform

    def lands(self, text: str = "carrier\nUA\n") -> None:
        boto3.client("s3").put_object(Bucket="landing", Key=KEY, Body=text)

    def says(self, *bodies: str) -> None:
        for body in bodies:
            boto3.client("sqs").send_message(QueueUrl=self.queue_url, MessageBody=body)

    @property
    def waiting(self) -> int:
        """Messages that are in the queue, those that somebody reads included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = boto3.client("sqs").get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def started(self, *bodies: str) -> tuple[Any, list[tuple[str, str]]]:
        """Let Airflow keep events of the messages, and `landed` run for them: what it returns, what it announces."""
        run = Run(self.bag, "landed", None, "asset_triggered", None, consumed=self._events(bodies))
        assert run.task("start").state == "success"
        return run.xcom("start", "return_value"), run.announced()

    def _events(self, bodies: tuple[str, ...]) -> list[int]:
        from airflow.models.asset import AssetEvent
        from airflow.models.trigger import Trigger
        from airflow.triggers.base import TriggerEvent
        from airflow.utils.session import create_session
        from sqlalchemy import func, select

        with create_session() as session:
            last = session.scalar(select(func.max(AssetEvent.id))) or 0
            (trigger,) = session.scalars(select(Trigger.id).where(Trigger.classpath.endswith("LandedMessages"))).all()
            for body in bodies:
                Trigger.submit_event(trigger, TriggerEvent(body), session=session)
            return list(session.scalars(select(AssetEvent.id).where(AssetEvent.id > last).order_by(AssetEvent.id)))

    def publish(self) -> None:
        """As an ingestion does, of the file that is there."""
        file = {"path": KEY, **identity(f"s3://landing/{KEY}")}
        self.rooms.ledger.publications.record([Publication(TABLE, DAY, 1, "meaning", "night", inputs={FILE: file})])


@pytest.fixture(scope="module")
def queue(metadata: None, parse: Callable[[Path], DagBag]) -> Iterator[tuple[str, DagBag]]:
    """The queue of a bucket, and the DAGs that read it, in Airflow's database."""
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with aws(), pytest.MonkeyPatch.context() as patched:
        bucket("landing")
        url = boto3.client("sqs").create_queue(QueueName="landed")["QueueUrl"]
        patched.setenv("MLOPS_LANDED_QUEUE_URL", url)
        patched.setenv("MLOPS_LANDING_URL", "s3://landing")
        bag = parse(ROOT / "dags")
        assert not bag.import_errors
        sync_bag_to_db(bag, "bundle", None)
        with create_session() as session:  # a paused DAG's queue is not read
            for dag_id in ("landed", f"ingest_landed_{GROUP}"):
                session.get(DagModel, dag_id).is_paused = False
        sync_bag_to_db(bag, "bundle", None)
        yield url, bag


@pytest.fixture
def landing(queue: tuple[str, DagBag], rooms: Platform) -> Landing:
    url, bag = queue
    return Landing(bag, url, rooms)


def _message(key: str = KEY) -> str:
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "landing"}, "object": {"key": key}}}
    return json.dumps({"Records": [record]})


def test_a_file_that_came_late_starts_its_day(landing: Landing) -> None:
    landing.lands()
    told, announced = landing.started(_message())
    assert told["start"] == {GROUP: [str(DAY)]}
    assert announced == [(f"{GROUP}_landed", str(DAY))]
    assert _runs_to_come(f"ingest_landed_{GROUP}") == [str(DAY)]
    run = Run(landing.bag, f"ingest_landed_{GROUP}", str(DAY), "asset_triggered", None)
    assert run.task("wait").state == "success"


def test_a_day_is_not_ingested_again_from_the_file_that_made_it(landing: Landing) -> None:
    landing.lands()
    landing.publish()
    told, announced = landing.started(_message(), _message())
    assert (told["start"], announced) == ({}, [])
    assert "published from this very file" in told["left"][f"s3://landing/{KEY}"]
    run = Run(landing.bag, f"ingest_landed_{GROUP}", str(DAY), "asset_triggered", None)
    assert run.task("wait").state == "skipped", "a message that was delivered twice, and came before the publication"


def test_a_corrected_file_starts_its_day_again(landing: Landing) -> None:
    landing.lands()
    landing.publish()
    landing.lands("carrier\nUA\nAA\n")
    assert landing.started(_message())[1] == [(f"{GROUP}_landed", str(DAY))]


def test_a_file_that_is_corrected_before_the_deadline_is_waited_for_unless_the_run_failed(landing: Landing) -> None:
    landing.lands()
    before_the_deadline = datetime(2013, 4, 7, 6, tzinfo=UTC)
    found = landings(landing.rooms, [_message()], before_the_deadline)
    assert (found.start, list(found.left.values())) == ({}, ["the scheduled run of the day waits for it"])
    broken = Alert("failed", f"ingest_{GROUP}", DAY, "critical", "ingest failed", "TruncatedFile")
    landing.rooms.alerts.send(broken)
    assert landings(landing.rooms, [_message()], before_the_deadline).start == {GROUP: [DAY]}
    landing.rooms.ledger.incidents.recover(
        "failed", f"ingest_{GROUP}", DAY, "the day after went through", datetime.now(UTC)
    )
    assert landings(landing.rooms, [_message()], before_the_deadline).start == {GROUP: [DAY]}


def test_messages_that_nobody_can_use_hold_up_no_other(landing: Landing) -> None:
    landing.lands()
    told, announced = landing.started("hello", _message("elsewhere/x.csv"), "{}", _message(), _message())
    assert announced == [(f"{GROUP}_landed", str(DAY))], "once, though it was said twice"
    assert told["left"]["hello"] == "it is no message of S3's"
    assert told["left"]["s3://landing/elsewhere/x.csv"] == "no feature group has a file of that name"


def test_the_triggerer_keeps_an_event_of_each_message_before_it_is_deleted(landing: Landing, tmp_path: Path) -> None:
    before = len(_events())
    landing.says(_message(), "hello")
    assert landing.waiting == 2
    with triggerer(tmp_path) as until:
        until(lambda: not landing.waiting)
    assert sorted(_events()[before:]) == sorted([_message(), "hello"])


def _events() -> list[str]:
    """The messages that Airflow has kept, as events of the asset that the DAG `landed` runs for."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(AssetEvent).order_by(AssetEvent.id))
        return [event.extra["payload"] for event in found if event.name == "landed_files"]


def _runs_to_come(dag_id: str) -> list[str]:
    from airflow.models.asset import AssetPartitionDagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = select(AssetPartitionDagRun.partition_key).where(AssetPartitionDagRun.target_dag_id == dag_id)
        return sorted(set(session.scalars(found)))

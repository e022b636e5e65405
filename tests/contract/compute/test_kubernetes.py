"""A Connect server whose executors are pods, which come when there is work, are replaced when lost, and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import LongType

from include.mlops.compute.executors import send_code
from include.mlops.compute.session import connect
from include.mlops.lake.lake import Lake
from include.mlops.lake.staging import publish, stage
from include.mlops.local.ports import free_port
from include.mlops.local.services import spark_service
from include.mlops.local.supervisor import Supervisor
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from tests.conftest import ON_CLUSTER
from tests.kubernetes import Cluster, kubernetes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(ON_CLUSTER, reason="it brings a cluster of its own: `make test` runs it"),
]
PROPERTIES = """\
spark.kubernetes.namespace mlops
spark.kubernetes.container.image mlops-spark:test
spark.kubernetes.allocation.batch.delay 1s
spark.kubernetes.executor.apiPollingInterval 1s
spark.executor.cores 1
spark.dynamicAllocation.enabled true
spark.dynamicAllocation.shuffleTracking.enabled true
spark.dynamicAllocation.minExecutors 0
spark.dynamicAllocation.maxExecutors 2
spark.dynamicAllocation.executorIdleTimeout 3s
spark.dynamicAllocation.shuffleTracking.timeout 3s
"""
DAY, TABLE = date(2013, 4, 1), "features.counted_v1"


@dataclass
class Served:
    settings: Settings
    cluster: Cluster


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("kubernetes")
    (home / "spark.properties").write_text(PROPERTIES)
    with kubernetes(home / "pods") as cluster, Supervisor(home / "logs") as supervisor:
        settings = Settings(
            state=home,
            spark_port=free_port(),
            spark_memory="1g",
            spark_executor_memory="512m",
            spark_master=f"k8s://{cluster.address}",
            spark_properties=str(home / "spark.properties"),
        )
        supervisor.start(spark_service(settings))
        supervisor.wait_until_up()
        yield Served(settings, cluster)


def test_executors_come_with_work_are_replaced_when_lost_and_go(served: Served) -> None:
    cluster, lake = served.cluster, Lake(served.settings)
    assert cluster.pods == {}, "nothing is held while nothing is done"
    lake.create(TABLE, {"number": "long", "ds": "date"}, staged=True)
    session = connect(served.settings)
    try:
        send_code(session)
        slowly = F.udf(_slowly(), LongType())
        rows = session.range(0, 40, 1, 8).select(slowly("id").alias("number"), F.lit(DAY).alias("ds"))
        killer = threading.Thread(target=_kill_one_that_works, args=(cluster,))
        killer.start()
        publish(lake, session, stage(lake, session, TABLE, rows, [DAY]), [DAY])
        killer.join()
    finally:
        session.stop()
    assert sorted(lake.read(TABLE, Interval.day(DAY), ["number"])["number"].to_pylist()) == list(range(40))
    assert len(cluster.processes) > 2, "the lost one was replaced"
    _wait(lambda: not cluster.pods, "idle executors to go")


def _slowly() -> Callable[[int], int]:
    """A function that is sent whole: executors do not have the tests."""

    def same(number: int) -> int:
        from include.mlops.policy.drift import __name__ as ours  # the bundle's code came with the session

        assert ours.startswith("include.mlops")
        time.sleep(0.3)
        return number

    return same


def _kill_one_that_works(cluster: Cluster) -> None:
    """As a node that is taken away."""
    _wait(lambda: bool(cluster.working()), "an executor that works")
    cluster.processes[cluster.working()[0]].kill()


def _wait(condition: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"expected {what}")

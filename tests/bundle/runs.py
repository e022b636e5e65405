"""A run of the bundle in a real Airflow database, whose tasks a test runs one at a time."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag


class Run:
    """One run in Airflow's database, whose tasks are run one at a time."""

    def __init__(
        self,
        bag: DagBag,
        dag_id: str,
        key: str | None,
        run_type: str,
        conf: dict[str, Any] | None,
        *,
        consumed: Sequence[int] = (),
    ) -> None:
        """`consumed` are the asset events that started it."""
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        self.bag, self.dag, now = bag, bag.dags[dag_id], datetime.now(UTC)
        self.run_id = f"{run_type}__{now.isoformat()}"
        with create_session() as session:
            stored = self._stored(session)
            made = stored.create_dagrun(
                run_id=self.run_id,
                run_after=now,
                run_type=DagRunType(run_type),
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                start_date=now,
                partition_key=key,
                partition_date=stored.timetable.resolve_partition_date(key),
                conf=conf,
                session=session,
            )
            made.consumed_asset_events.extend(session.get(AssetEvent, number) for number in consumed)

    def task(self, task_id: str, *, try_number: int = 1) -> Any:
        """Run a task once (with its trigger, where it defers); how Airflow's task runner ended it."""
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.session import create_session

        with create_session() as session:
            instance = self._queued(session, task_id, try_number)
        return _run_task(ti=instance, task=self.dag.get_task(task_id), run_triggerer=True)

    def started(self, task_id: str, *, try_number: int) -> Any:
        """Start a try of a task in a process of its own, as a worker does; `wait` sees it to its end."""
        from airflow.executors.workloads import BundleInfo
        from airflow.sdk.api.datamodels._generated import TaskInstance
        from airflow.sdk.execution_time.supervisor import ActivitySubprocess, InProcessTestSupervisor
        from airflow.utils.session import create_session

        with create_session() as session:
            instance = self._queued(session, task_id, try_number)
            names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
            what = TaskInstance(**{name: getattr(instance, name) for name in names})
        return ActivitySubprocess.start(
            what=what,
            dag_rel_path="dags/ingest.py",
            bundle_info=BundleInfo(name="bundle"),
            client=InProcessTestSupervisor._api_client(self.dag),
        )

    def killed(self, task_id: str) -> str:
        """Start the last try of a task and kill it, as a machine without memory does."""
        process = self.started(task_id, try_number=3)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        return self.state(task_id)

    def state(self, task_id: str) -> str:
        from airflow.utils.session import create_session

        with create_session() as session:
            return str(self._row(session).get_task_instance(task_id, session=session).state)

    def ends(self) -> str:
        """Let the scheduler look at the run, and the DAG processor run the callback that it asks for."""
        import structlog
        from airflow.dag_processing.processor import _execute_callbacks
        from airflow.utils.session import create_session

        for _ in self.dag.tasks:  # a failure reaches one more task each time
            with create_session() as session:
                row = self._row(session)
                row.dag = self._stored(session)
                _, request = row.update_state(session=session, execute_callbacks=False)
                state = str(row.state)
            if request:
                _execute_callbacks(self.bag, [request], structlog.get_logger())
        return state

    def mark_failed(self, task_id: str) -> None:
        """As a person does on the web page."""
        from airflow.utils.session import create_session

        with create_session() as session:
            self._row(session).get_task_instance(task_id, session=session).set_state("failed", session=session)

    def xcom(self, task_id: str, key: str) -> Any:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            asked = {"key": key, "task_ids": task_id, "dag_ids": self.dag.dag_id, "run_id": self.run_id}
            return XComModel.deserialize_value(session.scalars(XComModel.get_many(**asked)).one())

    def announced(self) -> list[tuple[str, str]]:
        """(asset, partition key) of the run's events, in their order."""
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            events = session.scalars(
                select(AssetEvent).where(AssetEvent.source_run_id == self.run_id).order_by(AssetEvent.id)
            )
            return [(event.name, event.partition_key) for event in events]

    def _stored(self, session: Any) -> Any:
        from airflow.models.serialized_dag import SerializedDagModel

        return SerializedDagModel.get_dag(self.dag.dag_id, session=session)

    def _row(self, session: Any) -> Any:
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        return session.scalars(select(DagRun).where(DagRun.run_id == self.run_id)).one()

    def _queued(self, session: Any, task_id: str, try_number: int) -> Any:
        from airflow.serialization.serialized_objects import create_scheduler_operator

        instance = self._row(session).get_task_instance(task_id, session=session)
        if try_number > 1:
            instance.prepare_db_for_next_try(session)  # each try has an id of its own
        instance.task = create_scheduler_operator(self.dag.get_task(task_id))
        instance.try_number, instance.max_tries, instance.state = try_number, 2, "queued"
        return instance

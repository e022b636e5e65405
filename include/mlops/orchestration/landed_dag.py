"""The DAG `landed`: messages about files that landed start the ingestion that the schedule does not do."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, get_current_context, task

from include.mlops.orchestration.assets import landed
from include.mlops.orchestration.defaults import default_args, platform
from include.mlops.orchestration.ingest_dag import ingest_landed_dag
from include.mlops.orchestration.landed_messages import LandedMessages
from include.mlops.orchestration.operations_dags import OWNER
from include.mlops.orchestration.watch import Watch, day_of_run
from include.mlops.settings import load_settings
from include.mlops.spec.load import Specs

log = logging.getLogger(__name__)
FILES = "landed_files"


def landed_dags(found: Specs) -> list[DAG]:
    """`landed`, and `ingest_landed_<group>` for each group that reads files; none where no queue is set."""
    queue_url = load_settings().landed_queue_url
    groups = [group for group in found.groups.values() if group.source.path]
    if not queue_url or not groups:
        return []
    dags = [
        ingest_landed_dag(group, [found.group(name) for name in group.reads], found.readers(group.name))
        for group in groups
    ]
    watch = Watch("landed", severity="warning", day=day_of_run)  # its messages are gone from the queue
    queue = AssetWatcher(name="landed_queue", trigger=LandedMessages(queue_url))
    with DAG(
        dag_id=watch.dag_id,
        description="Files that came late, or were corrected, start the ingestion of their day",
        doc_md="### Landed files\nReads the messages of `MLOPS_LANDED_QUEUE_URL`. Until a day's deadline its scheduled "
        "run waits for the file by itself; what came later, was corrected, or lies outside of the schedule is started "
        "here. The task's log says of each file what became of it; messages that are none of S3's are told there, too.",
        schedule=[Asset(name=FILES, uri="x-mlops://landed", group="landed", watchers=[queue])],
        max_active_runs=1,
        default_args=default_args(OWNER, watch.task_failed),
        on_failure_callback=watch.run_failed,
        tags=["ingest"],
    ) as dag:

        @task(
            outlets=[landed(group) for group in groups],
            on_success_callback=watch.recovered,
            doc_md="Which days to start: an event for each, with the day as partition key.",
        )
        def start() -> dict[str, Any]:
            from include.mlops.steps.ingestion.landings import landings

            context, rooms = get_current_context(), platform()
            events = [event for some in context["triggering_asset_events"].values() for event in some]
            found = landings(rooms, [str(event.extra.get("payload", "")) for event in events], datetime.now(UTC))
            # An outlet without partitions has an event of none at its task's success: only what starts stays.
            outlets = {name: landed(rooms.specs.group(name)) for name in found.start}
            context["task"].outlets = list(outlets.values())
            for name, outlet in outlets.items():
                days = [str(ds) for ds in found.start[name]]
                kept = context["outlet_events"][outlet]
                kept.add_partitions(days)
                kept.partition_keys = days  # type: ignore[assignment]  # a set would lose the order
            return {"start": {name: [str(ds) for ds in days] for name, days in found.start.items()}, "left": found.left}

        start()
    return [*dags, dag]

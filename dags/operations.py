"""Airflow DAGs for all specifications: `bulk` and `deliver_alerts`."""

from include.mlops.orchestration.bulk_dag import bulk_dag
from include.mlops.orchestration.defaults import specs
from include.mlops.orchestration.operations_dags import outbox_dag

bulk_dag(specs())
outbox_dag()

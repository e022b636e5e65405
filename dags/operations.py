"""Airflow DAGs for all specifications: `bulk` and `deliver_alerts`."""

from include.mlops.orchestration.defaults import specs
from include.mlops.orchestration.operations_dags import bulk_dag, outbox_dag

bulk_dag(specs())
outbox_dag()

"""Airflow DAGs for all specifications: `bulk`, `deliver_alerts`, `doctor` and `maintain`."""

from include.mlops.orchestration.bulk_dag import bulk_dag
from include.mlops.orchestration.defaults import specs
from include.mlops.orchestration.operations_dags import doctor_dag, maintain_dag, outbox_dag

bulk_dag(specs())
outbox_dag()
doctor_dag()
maintain_dag()

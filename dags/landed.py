"""Airflow DAGs `landed` and `ingest_landed_<feature group>`, where MLOPS_LANDED_QUEUE_URL names a queue."""

from include.mlops.orchestration.defaults import specs
from include.mlops.orchestration.landed_dag import landed_dags

landed_dags(specs())

"""Airflow DAGs `ingest_<feature group>`: one for each folder in include/feature_groups."""

from include.mlops.orchestration.defaults import specs, wanted
from include.mlops.orchestration.ingest_dag import ingest_dag

found = specs()
for group in wanted(found.groups):
    ingest_dag(group, [found.group(name) for name in group.reads], found.readers(group.name))

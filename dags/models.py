"""Airflow DAGs `score_<model>`, `performance_<model>`, `retrain_<model>`: three for each file in include/models."""

from include.mlops.orchestration.defaults import specs, wanted
from include.mlops.orchestration.model_dags import performance_dag, retrain_dag, score_dag

found = specs()
for model in wanted(found.models):
    score_dag(model, found.group(model.features.group))
    performance_dag(model, found.group(model.label.group))
    retrain_dag(model)

"""Airflow import errors for specifications that are broken; see `python -m include.mlops check`."""

from include.mlops.orchestration.defaults import specs
from include.mlops.orchestration.operations_dags import broken_specs

broken = broken_specs(specs())

# One image for all that is ours: Airflow's own without its many providers, with this bundle's packages and Spark's jars baked in.
FROM apache/airflow:slim-3.3.2-python3.12

USER root
RUN install --directory --owner=airflow --group=root --mode=0775 \
    /opt/mlops /opt/mlops/.state /opt/mlops/.state/secrets /opt/airflow/logs
USER airflow

# The packages first: they change less often than the code. Airflow's own version stays the base image's.
COPY --chown=airflow:root requirements.txt /opt/mlops/
RUN uv pip install --no-cache --compile-bytecode --requirement /opt/mlops/requirements.txt

ENV PYTHONPATH=/opt/mlops
WORKDIR /opt/mlops

# Spark's jars, each checked by its SHA-256; with S3's, as the warehouse is there.
COPY --chown=airflow:root include/__init__.py include/
COPY --chown=airflow:root include/mlops/__init__.py include/mlops/settings.py include/mlops/errors.py include/mlops/
COPY --chown=airflow:root include/mlops/compute/__init__.py include/mlops/compute/jars.py include/mlops/compute/
RUN MLOPS_WAREHOUSE_URL=s3://lake/warehouse python -m include.mlops.compute.jars

COPY --chown=airflow:root . /opt/mlops
RUN python -m compileall -q include dags plugins

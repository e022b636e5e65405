"""What must be there before the first server of a cluster starts: databases, buckets, schemas, the admin's password.

Run again it changes nothing that is there; those who run it at the same time wait for one another.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.ledger.database import READER, ensure_database, ensure_reader, one_at_a_time
from include.mlops.ledger.ledger import HEAD, Ledger
from include.mlops.local.airflow import ADMIN, write_passwords
from include.mlops.settings import S3, Settings

AIRFLOW_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def prepare(settings: Settings, airflow: str = "", admin_password: str = "") -> Iterator[str]:
    """One line for each thing that is there now. `airflow` is the address of Airflow's database; without one, and
    without MLOPS_MLFLOW_STORE_URL, theirs are left alone. Raises ServiceUnavailable, SettingsError.
    """
    mlflow, reader = settings.mlflow_store_url.get_secret_value(), settings.ledger_reader_password.get_secret_value()
    catalog = settings.catalog if settings.catalog_kind == "sql" else ""
    with one_at_a_time(settings.ledger):
        for url in dict.fromkeys(url for url in (settings.ledger, catalog, mlflow, airflow) if url):
            if ensure_database(url):
                yield f"database {url.rpartition('/')[2].partition('?')[0]}, created"
        yield from _buckets(settings)
        with closing(Ledger(settings.ledger)) as ledger:
            ledger.migrate()
        yield f"ledger, schema {HEAD}"
        if reader and ensure_reader(settings.ledger, reader):
            yield f"database user {READER}, reads the ledger"
        if mlflow:
            _migrate_mlflow(mlflow)
            yield "MLflow, schema up to date"
        if airflow:
            _migrate_airflow(airflow)
            yield "Airflow, schema up to date"
        if admin_password:
            yield f"password of Airflow's user {ADMIN}, in {write_passwords(settings, admin_password)}"


def _buckets(settings: Settings) -> Iterator[str]:
    from include.mlops.stored_files import ensure_bucket

    places = (settings.warehouse, settings.landing, settings.exports, settings.mlflow_artifacts_url)
    for place in (place for place in places if place.startswith(S3)):
        try:
            made = ensure_bucket(place)
        except OSError as error:
            raise SettingsError(
                f"expected a bucket for {place}, or the right to create it, found: {error}; create it, or correct the "
                "address or the keys"
            ) from error
        yield f"bucket of {place}" + (", created" if made else "")


def _migrate_mlflow(url: str) -> None:
    from include.mlops.registry.store import migrate

    migrate(url)


def _migrate_airflow(url: str) -> None:
    """In a process of its own: only orchestration/ knows Airflow, and it reads its variables when it is imported."""
    command, variables = [sys.executable, "-m", "airflow", "db", "migrate"], {**os.environ, AIRFLOW_DATABASE: url}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise ServiceUnavailable(f"`airflow db migrate` ended with {done.returncode} ({AIRFLOW_DATABASE}):\n{end}")

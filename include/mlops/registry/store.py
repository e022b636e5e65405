"""The database that an MLflow server keeps its runs in."""

from __future__ import annotations

from typing import Any

from include.mlops.errors import ServiceUnavailable


def migrate(url: str) -> None:
    """Bring its schema up to date, as `mlflow db upgrade` does, which would show the password as an argument.

    MLflow takes no lock for it: the caller sees to it that nobody else does the same. Raises ServiceUnavailable.
    """
    from mlflow.db import upgrade

    command: Any = upgrade.callback
    try:
        command(url)
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the address
        raise ServiceUnavailable(
            f"cannot bring the schema of MLflow's database (MLOPS_MLFLOW_STORE_URL) up to date: "
            f"{type(error).__name__}; look at the database's log"
        ) from None

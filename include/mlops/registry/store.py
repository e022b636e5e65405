"""The database behind the MLflow server, for backups and upgrades alone; all else asks the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from include.mlops import stored_rows
from include.mlops.errors import BackupUnusable, ServiceUnavailable, SettingsError
from include.mlops.sql_errors import passes

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_FRESH = {"experiments": 1, "workspaces": 1}  # what a server writes into a new database at its start
_SERVED = "mlflow-artifacts:/"
_SETTING = "MLOPS_MLFLOW_STORE_URL"
UPLOADING = ".artifact.uploading."
"""How the names of files begin that MLflow's server has not received whole, on a disk; it shows them to nobody."""


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


class RegistryStore:
    """The database at an SQLAlchemy URL, of MLflow's schema."""

    def __init__(self, url: str) -> None:
        self._url = SecretStr(url)

    @contextmanager
    def one_moment(self) -> Iterator[stored_rows.Moment]:
        """All rows as they are at this moment. Raises SettingsError where there is no store of MLflow's."""
        self._require_file()
        with self._opened() as engine, stored_rows.one_moment(engine) as moment:
            if moment.revision is None:
                raise SettingsError(
                    f"expected the database of MLflow's server ({_SETTING}), found one without its tables"
                )
            yield moment

    def counts(self) -> dict[str, int]:
        """Rows of each table that has any, but for those that a server writes into an empty database."""
        if not self._exists():
            return {}
        with self._opened() as engine, engine.connect() as connection:
            return _beyond_fresh(connection)

    def restore(self, at: str, rows: Mapping[str, Callable[[], Iterable[bytes]]]) -> None:
        """Make the schema where there is none, and put the rows into it, in one transaction.

        Raises BackupUnusable where it holds rows, or where MLflow here has another schema than the rows.
        """
        with self._answering():
            self._make_schema()
        with self._opened() as engine, engine.begin() as connection:
            _require_same(at, stored_rows.revision(connection))
            if held := _beyond_fresh(connection):
                raise BackupUnusable(
                    f"expected an empty database for MLflow ({_SETTING}), found rows in {', '.join(held)}; name another"
                )
            stored_rows.load(connection, rows)

    def require_restorable(self, at: str) -> None:
        """Raises BackupUnusable where the MLflow that is installed here makes another schema than `at`."""
        from mlflow.store.db.utils import _get_latest_schema_revision

        _require_same(at, _get_latest_schema_revision())  # type: ignore[no-untyped-call]

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        from mlflow.store.db.utils import create_sqlalchemy_engine

        with self._answering():
            engine: Engine = create_sqlalchemy_engine(self._url.get_secret_value())  # type: ignore[no-untyped-call]
            try:
                yield engine
            finally:
                engine.dispose()

    def _make_schema(self) -> None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(self._url.get_secret_value(), _SERVED).engine.dispose()  # type: ignore[no-untyped-call]

    @property
    def _file(self) -> Path | None:
        url = self._url.get_secret_value()
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    def _exists(self) -> bool:
        return self._file is None or self._file.exists()

    def _require_file(self) -> None:
        if not self._exists():
            raise SettingsError(
                f"expected the database of MLflow's server at {self._file}, found nothing there; set {_SETTING} and "
                "MLOPS_MLFLOW_ARTIFACTS_URL to where that server keeps its runs and its files"
            )

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import ArgumentError, DBAPIError

        try:
            yield
        except (MlflowException, ArgumentError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and passes(error):
                raise ServiceUnavailable(f"MLflow's database ({_SETTING}) did not answer: {error.orig}") from error
            found = error.orig if isinstance(error, DBAPIError) else error  # the rest of it is values of rows
            raise SettingsError(f"MLflow's database ({_SETTING}) cannot be used: {str(found)[:300]}") from None


def _beyond_fresh(connection: Connection) -> dict[str, int]:
    return {name: number for name, number in stored_rows.counts(connection).items() if number > _FRESH.get(name, 0)}


def _require_same(at: str, found: str | None) -> None:
    if found != at:
        raise BackupUnusable(
            f"expected MLflow's schema at revision {at}, which the backup is of, found {found}; restore with "
            "the MLflow that was backed up, and upgrade it then with `mlflow db upgrade`"
        )

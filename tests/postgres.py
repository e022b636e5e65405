"""A real Postgres for the tests: a cluster of its own from the machine's package, on a free port, gone afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from include.mlops.local.ports import free_port
from include.mlops.local.supervisor import Service, Supervisor

USER = "mlops"


class MortalPostgres:
    """A server that is there, or was killed and is not."""

    def __init__(self, supervisor: Supervisor, service: Service, url: str, home: Path) -> None:
        self._supervisor, self._service, self._home, self.url = supervisor, service, home, url

    def start(self) -> None:
        self._supervisor.start(self._service)
        self._supervisor.wait_until_up()

    def kill(self) -> None:
        """SIGKILL to it and to all of its processes, as when the machine loses its power."""
        pid = int((self._home / "data" / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=30)


@contextmanager
def postgres_server(port: int = 0, password: str = "") -> Iterator[str]:
    """The SQLAlchemy URL of its superuser's database. Skips where no Postgres is installed, but in CI."""
    with mortal_postgres(port, password) as server:
        yield server.url


@contextmanager
def mortal_postgres(port: int = 0, password: str = "") -> Iterator[MortalPostgres]:
    """A server that runs. Skips where no Postgres is installed, but in CI."""
    programs = _programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("expected the package postgresql, found no initdb; .ci/run installs it")
        pytest.skip("Postgres is not installed (Debian and Ubuntu: apt install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="postgres-"))  # not below pytest's folder, which is root's alone
    port, password = port or free_port(), password or secrets.token_hex(16)
    url = f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{port}/postgres"
    try:
        (home / "password").write_text(password)
        if os.geteuid() == 0:
            for path in (home, home / "password"):
                shutil.chown(path, "postgres", "postgres")
        initdb = [programs / "initdb", "-D", home / "data", "-U", USER, "--auth=scram-sha-256", "--no-sync"]
        command = [*_as_nobody_special(), *map(str, initdb), f"--pwfile={home / 'password'}"]
        subprocess.run(command, check=True, capture_output=True, cwd=home)
        with Supervisor(home) as supervisor:
            server = MortalPostgres(supervisor, _service(programs, home, port, url), url, home)
            server.start()
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def schema_of_its_own(url: str) -> Iterator[str]:
    """The URL with an empty schema in place of `public`, dropped afterwards."""
    schema = f"test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        yield f"{url}?options=-csearch_path%3D{schema}"
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@contextmanager
def database_of_its_own(url: str) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def _programs() -> Path | None:
    """Debian keeps them apart from PATH, by major version."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parts[-3])).parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _as_nobody_special() -> list[str]:
    """Postgres refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def _service(programs: Path, home: Path, port: int, url: str) -> Service:
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(home), "fsync": "off"}
    told = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = [*_as_nobody_special(), str(programs / "postgres"), "-D", str(home / "data"), "-p", str(port), *told]
    return Service("postgres", tuple(command), lambda: _answers(url), make_url(url).render_as_string(), {}, home)


def _answers(url: str) -> bool:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return bool(connection.execute(text("select 1")).scalar())
    except OperationalError:
        return False
    finally:
        engine.dispose()

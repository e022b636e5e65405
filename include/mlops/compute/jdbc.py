"""SQLAlchemy's database URLs in JDBC's terms, for the drivers whose jars the Spark server has."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from include.mlops.errors import SettingsError


@dataclass(frozen=True)
class JdbcAddress:
    """`url` bears no password; `login` holds `user` and `password` where there are any."""

    driver: str
    url: str
    login: dict[str, str] = field(default_factory=dict, repr=False)


def jdbc_address(url: str, variable: str, *, sqlite: str) -> JdbcAddress:
    """The address for an SQLAlchemy URL; `sqlite` are the options of a connection to such a file.

    Raises SettingsError, which names the `variable`, for a database other than sqlite and postgresql.
    """
    parts = urlsplit(url)
    database = parts.scheme.partition("+")[0]
    if database == "sqlite" and len(parts.path) > 1:
        path = Path(parts.path[1:]).absolute()
        return JdbcAddress("org.sqlite.JDBC", f"jdbc:sqlite:file:{quote(str(path))}?{sqlite}")
    if database == "postgresql" and parts.hostname and len(parts.path) > 1:
        place = parts.hostname + (f":{parts.port}" if parts.port else "")
        query = f"?{parts.query}" if parts.query else ""
        known = {"user": parts.username, "password": parts.password}
        login = {name: unquote(value) for name, value in known.items() if value}
        return JdbcAddress("org.postgresql.Driver", f"jdbc:postgresql://{place}{parts.path}{query}", login)
    raise SettingsError(
        f"{variable}: expected sqlite:////absolute/path.db or postgresql://user:password@host/database, "
        f"found {parts._replace(netloc=parts.netloc.rpartition('@')[2], query='').geturl()!r}"
    )

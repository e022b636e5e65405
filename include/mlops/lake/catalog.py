"""The Iceberg catalog that the settings name, of whichever kind: a database, AWS Glue or an Iceberg REST catalog.

Spark's server opens the same one, by the properties in `compute/iceberg.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    CommitStateUnknownException,
    ForbiddenError,
    OAuthError,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
)
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import Timeout
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from include.mlops import sql_errors
from include.mlops.aws_errors import passes
from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.settings import Settings
from include.mlops.stored_files import trouble

CATALOG = "lake"
_MADE = ("42P07", "42710", "23505")
"""Postgres' codes for a table and a type that are there already, and for the row of one that was made just now."""
_REMEDY = "look at MLOPS_CATALOG_URL and its credentials"


def _made_meanwhile(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return getattr(error.orig, "sqlstate", None) in _MADE or "already exists" in str(error.orig)  # which sqlite says


_despite_rivals = Retrying(retry=retry_if_exception(_made_meanwhile), stop=stop_after_attempt(3), reraise=True)


def open_catalog(settings: Settings) -> Catalog:
    """Raises what the catalog raises where it does not answer."""
    properties = {"warehouse": settings.warehouse, **_s3(settings)}
    match settings.catalog_kind:
        case "glue":
            from pyiceberg.catalog.glue import GlueCatalog

            account = urlsplit(settings.catalog).netloc
            # A commit whose answer was lost and that is sent again is refused: pyiceberg would take our own for a
            # rival's, and delete its files.
            once: dict[str, Any] = {"glue.max-retries": 0}
            return GlueCatalog(CATALOG, **properties, **once, **({"glue.id": account} if account else {}))
        case "rest":
            from include.mlops.lake.rest import ArrowRestCatalog

            return ArrowRestCatalog(CATALOG, **{**_s3(settings), **settings.rest_catalog})
        case "sql":
            from pyiceberg.catalog.sql import SqlCatalog

            database = make_url(settings.catalog)
            if database.get_backend_name() == "sqlite" and database.database:
                Path(database.database).parent.mkdir(parents=True, exist_ok=True)
            # A connection that its database has cut meanwhile is opened anew, instead of failing whoever comes next.
            properties |= {"uri": settings.catalog, "pool_pre_ping": "true"}
            # Opening a new database makes the catalog's two tables; either may meet a rival that makes it just now.
            return _despite_rivals(SqlCatalog, CATALOG, **properties)


def _s3(settings: Settings) -> dict[str, str]:
    """pyiceberg does not read the variable that names another endpoint, as Arrow and Java do."""
    return {"s3.endpoint": settings.s3_endpoint} if settings.s3_endpoint else {}


@contextmanager
def available() -> Iterator[None]:
    """Raises ServiceUnavailable where the catalog does not answer, SettingsError where it lets nobody in."""
    try:
        yield
    except DBAPIError as error:
        if not sql_errors.passes(error):
            raise
        raise ServiceUnavailable(f"the lake's catalog did not answer: {error.orig}; {_REMEDY}") from error
    except CommitStateUnknownException as error:
        raise ServiceUnavailable(f"the lake's catalog did not say whether it took a commit: {error}") from error
    except (NoConnection, Timeout, ServerError, ServiceUnavailableError, TooManyRequestsError) as error:
        raise ServiceUnavailable(f"the lake's catalog did not answer: {str(error)[:300]}; {_REMEDY}") from error
    except (UnauthorizedError, ForbiddenError, OAuthError, AuthorizationExpiredError) as error:
        raise SettingsError(f"the lake's catalog refused us: {str(error)[:300]}; {_REMEDY}") from error
    except ClientError as error:
        kind = ServiceUnavailable if passes(error) else SettingsError
        raise kind(f"the lake's catalog in AWS Glue answered {error}; {_REMEDY}") from error
    except (NoRegionError, NoCredentialsError) as error:
        raise SettingsError(
            f"the lake's catalog is in AWS Glue, found: {error}; set AWS_DEFAULT_REGION, and give this "
            "process a role or keys"
        ) from error
    except BotoCoreError as error:
        raise ServiceUnavailable(f"the lake's catalog in AWS Glue did not answer: {error}") from error
    except OSError as error:
        raise _of_files(error) from error


def _of_files(error: OSError) -> Exception:
    """What is said of the warehouse's files; the error itself where nobody knows what it means."""
    text = str(error)[:500]
    match trouble(error):
        case "full":
            return ServiceUnavailable(
                f"no space is left where the lake writes (MLOPS_WAREHOUSE_URL); make room: {text}"
            )
        case "refused":
            return SettingsError(
                f"the store of the lake's files refused us ({text}); look at MLOPS_WAREHOUSE_URL, and at the user, the "
                "keys or the role that this process has"
            )
        case "passing":
            return ServiceUnavailable(f"S3 did not take or give a file of the lake (MLOPS_WAREHOUSE_URL): {text}")
    return error

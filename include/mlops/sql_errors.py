"""Which errors of a relational database pass by themselves."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_STANDBY = ("25006", "25P03", "25P04")
"""Postgres' codes for a server that only reads, as one does after a failover, and for transactions that it ended."""


def passes(error: DBAPIError) -> bool:
    """Whether to try again can help: the database is not reached, or not the one that takes rows."""
    kinds = (OperationalError, InterfaceError)
    return isinstance(error, kinds) or getattr(error.orig, "sqlstate", None) in _STANDBY

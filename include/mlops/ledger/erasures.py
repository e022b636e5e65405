"""Which erasures were done, and what they took from training sets. The entity's key is kept as a salted hash alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from include.mlops.ledger.store import Store, now
from include.mlops.ledger.tables import erasures


@dataclass(frozen=True)
class Erasure:
    """`tables` is {table: {"rows": {ds: n}, "tags": {tag: {ds: n}}}} of what readers and tags lost, `versions`
    [{"model":, "version":, "rows":}] whose training sets lost rows. `finished_at` None: to be done again.
    """

    id: int
    feature_group: str
    actor: str
    reason: str
    tables: dict[str, dict[str, Any]]
    versions: list[dict[str, Any]]
    rows: int
    recorded_at: datetime
    finished_at: datetime | None

    @property
    def day(self) -> str:
        return str(self.recorded_at.date())

    def rows_of(self, model: str, version: int) -> int:
        """How many its training set lost."""
        return sum(one["rows"] for one in self.versions if (one["model"], one["version"]) == (model, version))


_COLUMNS = [erasures.c[name] for name in Erasure.__dataclass_fields__]


class Erasures:
    """The record of erasures."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Erasure]:
        """Oldest first."""
        with self._store.read() as connection:
            found = connection.execute(select(*_COLUMNS).order_by(erasures.c.id)).mappings()
            return [Erasure(**row) for row in found]

    def of_version(self, model: str, version: int) -> list[Erasure]:
        """Those that took rows from its training set, oldest first."""
        return [one for one in self.all() if one.rows_of(model, version)]

    def of_key(self, group: str, keys: Mapping[str, str]) -> list[Erasure]:
        """Those of that entity, oldest first."""
        query = select(erasures.c.id, erasures.c.salt, erasures.c.key_hash).where(erasures.c.feature_group == group)
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        same = {row.id for row in rows if hmac.compare_digest(row.key_hash, _hash(keys, row.salt))}
        return [one for one in self.all() if one.id in same]

    def begin(
        self,
        group: str,
        keys: Mapping[str, str],
        actor: str,
        reason: str,
        tables: Mapping[str, Any],
        versions: list[dict[str, Any]],
    ) -> int:
        """Returns its number."""
        salt = secrets.token_hex(16)
        values = {
            "feature_group": group,
            "salt": salt,
            "key_hash": _hash(keys, salt),
            "actor": actor,
            "reason": reason,
            "recorded_at": now(),
            **_told(tables, versions),
        }
        with self._store.begin() as connection:
            return int(connection.execute(insert(erasures).returning(erasures.c.id), values).scalar_one())

    def found_more(self, number: int, tables: Mapping[str, Any], versions: list[dict[str, Any]]) -> None:
        """What an erasure that is done again takes, with what it took before."""
        with self._store.begin() as connection:
            connection.execute(update(erasures).where(erasures.c.id == number).values(_told(tables, versions)))

    def finish(self, number: int) -> None:
        with self._store.begin() as connection:
            connection.execute(update(erasures).where(erasures.c.id == number).values(finished_at=now()))


def _told(tables: Mapping[str, Any], versions: list[dict[str, Any]]) -> dict[str, Any]:
    rows = sum(sum(one["rows"].values()) for one in tables.values())
    return {"tables": tables, "versions": versions, "rows": rows}


def _hash(keys: Mapping[str, str], salt: str) -> str:
    """Slow on purpose (scrypt, RFC 7914): keys are short, and whoever has the ledger could try them all."""
    told = json.dumps(sorted(keys.items())).encode()
    return hashlib.scrypt(told, salt=bytes.fromhex(salt), n=1 << 14, r=8, p=1, dklen=32).hex()

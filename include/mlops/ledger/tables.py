"""The ledger's tables. Rows are added, never changed, but for an alert's delivery and the end of what lasts."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, aware on both ways: sqlite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _recorded() -> Column[datetime]:
    return Column("recorded_at", UtcTime, nullable=False)


publications = Table(
    "publications",
    metadata,
    _id(),
    Column("dataset", String(200), nullable=False),
    Column("ds", Date, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False, default=0),
    Column("snapshot_id", BigInteger),
    Column("meaning", String(64), nullable=False),  # hash of the code and spec that made it
    Column("inputs", JSON, nullable=False),  # {dataset: {"snapshot_id":, "partitions": {ds: digest}, ...}, "file": ...}
    Column("version", Integer),  # of the model, for predictions
    Column("in_sample", Boolean, nullable=False, default=False),
    Column("run_id", String(250), nullable=False),
    Column("digest", String(64)),  # of the rows; null: published before digests were kept
    _recorded(),
    Index("ix_publications_partition", "dataset", "ds", "id"),
)

meanings = Table(
    "meanings",
    metadata,
    _id(),
    Column("dataset", String(200), nullable=False, index=True),
    Column("meaning", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    _recorded(),
)

validations = Table(
    "validations",
    metadata,
    _id(),
    Column("dataset", String(200), nullable=False),
    Column("ds", Date, nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("expectation", String(200), nullable=False),
    Column("target", String(200), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("success", Boolean, nullable=False),
    Column("observed", Text, nullable=False),
    _recorded(),
    Index("ix_validations_partition", "dataset", "ds"),
)

exports = Table(
    "exports",
    metadata,
    _id(),
    Column("model", String(63), nullable=False),
    Column("ds", Date, nullable=False),
    Column("target", Text, nullable=False),  # where the rows went
    Column("form", String(16), nullable=False),  # hash of their columns
    Column("rows", BigInteger, nullable=False),
    Column("snapshot_id", BigInteger),  # of the publication that was exported
    Column("run_id", String(250), nullable=False),
    _recorded(),
    Index("ix_exports_partition", "model", "ds", "id"),
)

erasures = Table(
    "erasures",
    metadata,
    _id(),
    Column("feature_group", String(200), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("key_hash", String(128), nullable=False),  # of the entity's key, which is not kept
    Column("actor", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    Column("tables", JSON, nullable=False),  # {table: {"rows": {ds: n}, "tags": {tag: {ds: n}}}}
    Column("versions", JSON, nullable=False),  # [{"model":, "version":, "rows":}] whose training sets lost rows
    Column("rows", BigInteger, nullable=False),
    Column("finished_at", UtcTime),  # null: it was stopped, and is to be done again
    _recorded(),
)

live_intervals = Table(
    "live_intervals",
    metadata,
    _id(),
    Column("model", String(63), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("first_ds", Date, nullable=False),
    Column("last_ds", Date),  # null: still live
    _recorded(),
    Index(
        "uq_live_intervals_open",
        "model",
        unique=True,
        sqlite_where=text("last_ds IS NULL"),
        postgresql_where=text("last_ds IS NULL"),
    ),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    Column("model", String(63), nullable=False),
    Column("version", Integer),
    Column("ds", Date, nullable=False),
    Column("action", String(40), nullable=False),  # retrain, gate, promote, reject
    Column("outcome", String(40), nullable=False),
    Column("actor", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    _recorded(),
    Index("ix_decisions_model", "model", "ds"),
)

metrics = Table(
    "metrics",
    metadata,
    _id(),
    Column("model", String(63), nullable=False),
    Column("ds", Date, nullable=False),
    Column("version", Integer),
    Column("kind", String(20), nullable=False),  # score, drift, performance
    Column("name", String(120), nullable=False),
    Column("value", Float),
    Column("run_id", String(250), nullable=False),
    _recorded(),
    Index("ix_metrics_model", "model", "kind", "ds"),
)

verdicts = Table(
    "verdicts",
    metadata,
    _id(),
    Column("model", String(63), nullable=False),
    Column("ds", Date, nullable=False),
    Column("version", Integer),
    Column("kind", String(20), nullable=False),  # drift, performance
    Column("bad", Boolean, nullable=False),  # this night alone
    Column("confirmed", Boolean, nullable=False),  # with persistence
    Column("since", Date),
    Column("detail", JSON, nullable=False),
    Column("report", Text),
    Column("run_id", String(250), nullable=False),
    _recorded(),
    Index("ix_verdicts_model", "model", "kind", "ds"),
)

incidents = Table(
    "incidents",
    metadata,
    _id(),
    Column("kind", String(40), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("severity", String(20), nullable=False),  # the worst so far
    Column("title", Text, nullable=False),
    Column("first_ds", Date, nullable=False),
    Column("last_ds", Date, nullable=False),
    Column("repeats", Integer, nullable=False, default=0),  # alerts after the first, told or folded
    Column("channel", Text, nullable=False),
    Column("thread", String(40)),  # Slack's ts of the first message
    Column("opened_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Index(
        "uq_incidents_open",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("incident_id", BigInteger, index=True),  # null: a note
    Column("event", String(20), nullable=False),  # opened, repeated, escalated, recovered, noted
    Column("kind", String(40), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("ds", Date, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", JSON, nullable=False),  # summary, numbers, links; rendered when sent
    Column("since", Date),
    Column("on_call", Text),
    Column("channel", Text, nullable=False),
    Column("once", String(64)),  # hash of what a note says, so that a rerun says it once
    Column("status", String(20), nullable=False),  # waiting, sending, sent, refused
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", UtcTime, nullable=False),  # while sending: when the sender's lease ends
    Column("claim", String(32)),  # whose lease
    Column("last_error", Text),
    Column("sent_at", UtcTime),
    _recorded(),
    UniqueConstraint("once", name="uq_outbox_once"),
    Index("ix_outbox_status", "status", "not_before"),
)

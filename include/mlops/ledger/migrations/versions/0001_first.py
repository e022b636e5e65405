"""All tables of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _unique_where(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    _publications()
    _releases()
    _monitoring()
    _alerts()


def _publications() -> None:
    op.create_table(
        "publications",
        _id(),
        sa.Column("dataset", sa.String(200), nullable=False),
        sa.Column("ds", sa.Date, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("snapshot_id", sa.BigInteger),
        sa.Column("meaning", sa.String(64), nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("in_sample", sa.Boolean, nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        _time("recorded_at"),
    )
    op.create_index("ix_publications_partition", "publications", ["dataset", "ds", "id"])
    op.create_table(
        "meanings",
        _id(),
        sa.Column("dataset", sa.String(200), nullable=False),
        sa.Column("meaning", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _time("recorded_at"),
    )
    op.create_index("ix_meanings_dataset", "meanings", ["dataset"])
    op.create_table(
        "validations",
        _id(),
        sa.Column("dataset", sa.String(200), nullable=False),
        sa.Column("ds", sa.Date, nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("expectation", sa.String(200), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("observed", sa.Text, nullable=False),
        _time("recorded_at"),
    )
    op.create_index("ix_validations_partition", "validations", ["dataset", "ds"])


def _releases() -> None:
    op.create_table(
        "live_intervals",
        _id(),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("first_ds", sa.Date, nullable=False),
        sa.Column("last_ds", sa.Date),
        _time("recorded_at"),
    )
    op.create_index("ix_live_intervals_model", "live_intervals", ["model"])
    _unique_where("uq_live_intervals_open", "live_intervals", ["model"], "last_ds IS NULL")
    op.create_table(
        "decisions",
        _id(),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("ds", sa.Date, nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(120), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        _time("recorded_at"),
    )
    op.create_index("ix_decisions_model", "decisions", ["model", "ds"])


def _monitoring() -> None:
    op.create_table(
        "metrics",
        _id(),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("ds", sa.Date, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("run_id", sa.String(250), nullable=False),
        _time("recorded_at"),
    )
    op.create_index("ix_metrics_model", "metrics", ["model", "kind", "ds"])
    op.create_table(
        "verdicts",
        _id(),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("ds", sa.Date, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("bad", sa.Boolean, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("since", sa.Date),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("report", sa.Text),
        sa.Column("run_id", sa.String(250), nullable=False),
        _time("recorded_at"),
    )
    op.create_index("ix_verdicts_model", "verdicts", ["model", "kind", "ds"])


def _alerts() -> None:
    op.create_table(
        "incidents",
        _id(),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("first_ds", sa.Date, nullable=False),
        sa.Column("last_ds", sa.Date, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("thread", sa.String(40)),
        _time("opened_at"),
        _time("closed_at", nullable=True),
    )
    _unique_where("uq_incidents_open", "incidents", ["kind", "subject"], "closed_at IS NULL")
    op.create_table(
        "outbox",
        _id(),
        sa.Column("incident_id", sa.BigInteger),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("ds", sa.Date, nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("since", sa.Date),
        sa.Column("on_call", sa.Text),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("once", sa.String(64)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        _time("not_before"),
        sa.Column("claim", sa.String(32)),
        sa.Column("last_error", sa.Text),
        _time("sent_at", nullable=True),
        _time("recorded_at"),
        sa.UniqueConstraint("once", name="uq_outbox_once"),
    )
    op.create_index("ix_outbox_incident_id", "outbox", ["incident_id"])
    op.create_index("ix_outbox_status", "outbox", ["status", "not_before"])

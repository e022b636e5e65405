"""What a published partition holds, as a digest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("publications", sa.Column("digest", sa.String(64)))

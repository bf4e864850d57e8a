"""Stored log lines, and how far each pod's log is stored.

Revision: 0020_store_logs
After: 0019_places_whole
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import tenant_table

revision = "0020_store_logs"
down_revision = "0019_places_whole"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_chunks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("pod", sa.Text(), nullable=False),
        sa.Column("pod_key", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=True),
        sa.Column("first_ns", sa.BigInteger(), nullable=False),
        sa.Column("first_number", sa.Integer(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_log_chunks_org_id_app_environment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_chunks")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_log_chunks_org_id_id")),
    )
    op.create_index("ix_log_chunks_first", "log_chunks", ["org_id", "app_environment_id", "first_ns"])
    op.create_index("ix_log_chunks_last", "log_chunks", ["org_id", "app_environment_id", "last_ns"])
    # It is compressed already.
    op.execute("alter table log_chunks alter column data set storage external")
    op.create_table(
        "log_positions",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("pod", sa.Text(), nullable=False),
        sa.Column("pod_key", sa.Text(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_log_positions_org_id_app_environment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "app_environment_id", "pod", name=op.f("pk_log_positions")),
    )
    for table in ("log_chunks", "log_positions"):
        tenant_table(table)


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

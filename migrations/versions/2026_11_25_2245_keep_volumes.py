"""Volumes: disks that outlive instances and releases.

Revision: 0031_volumes
After: 0030_canaries
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import tenant_table

revision = "0031_volumes"
down_revision = "0030_canaries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "volumes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_gib", sa.Integer(), nullable=False),
        sa.Column("removal_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_volumes_org_id_app_environment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volumes")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_volumes_org_id_id")),
        sa.UniqueConstraint(
            "org_id",
            "app_environment_id",
            "process",
            "name",
            name=op.f("uq_volumes_org_id_app_environment_id_process_name"),
        ),
    )
    tenant_table("volumes")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

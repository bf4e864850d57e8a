"""An organization's credentials for private registries.

Revision: 0024_registries
After: 0023_report_drift
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import tenant_table

revision = "0024_registries"
down_revision = "0023_report_drift"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "registry_credentials",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password", sa.LargeBinary(), nullable=False),
        sa.Column("password_key_version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_credentials")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_registry_credentials_org_id_id")),
        sa.UniqueConstraint("org_id", "registry", name=op.f("uq_registry_credentials_org_id_registry")),
    )
    tenant_table("registry_credentials")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

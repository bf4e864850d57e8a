"""Change sets: wanted changes of an environment, what they would change, and whether they were made.

Revision: 0026_change_sets
After: 0025_exposure
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import tenant_table
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026_change_sets"
down_revision = "0025_exposure"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = True, now: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()") if now else None, nullable=nullable
    )


def _inside(parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["org_id", f"{parent}_id"],
        [f"{parent}s.org_id", f"{parent}s.id"],
        name=op.f(f"fk_change_sets_org_id_{parent}_id"),
        ondelete="CASCADE",
    )


def upgrade() -> None:
    op.create_table(
        "change_sets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("environment_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planning", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("prune", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("content_key_version", sa.Integer(), nullable=False),
        sa.Column("base", JSONB(), server_default="{}", nullable=False),
        sa.Column("plan", JSONB(), nullable=True),
        sa.Column("reason", JSONB(), nullable=True),
        sa.Column("deployments", JSONB(), server_default="[]", nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=True),
        _moment("created_at", nullable=False, now=True),
        _moment("updated_at", nullable=False, now=True),
        _moment("planned_at"),
        _moment("applied_at"),
        _moment("expires_at", nullable=False),
        sa.CheckConstraint("state in ('planning', 'ready', 'failed', 'applied')", name=op.f("ck_change_sets_state")),
        _inside("project"),
        _inside("environment"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_sets")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_change_sets_org_id_id")),
    )
    op.create_index(op.f("ix_change_sets_org_id_environment_id_id"), "change_sets", ["org_id", "environment_id", "id"])
    op.create_index(op.f("ix_change_sets_org_id_project_id"), "change_sets", ["org_id", "project_id"])
    tenant_table("change_sets")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

"""Customers' own clusters, and environments placed on them.

Revision: 0028_clusters
After: 0027_maintenance
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.data import add_tenant_key
from migrations.policies import door, readable_by_doors, tenant_table
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028_clusters"
down_revision = "0027_maintenance"
branch_labels = None
depends_on = None

CHECKS = {
    "kind": "kind in ('kubeconfig', 'eks')",
    "routing": "routing in ('gateway', 'ingress')",
    "health": "health in ('unknown', 'healthy', 'degraded', 'unreachable')",
    "encrypts_secrets": "encrypts_secrets in ('yes', 'no', 'unknown')",
    "reached": (
        "kind = 'kubeconfig' and credentials is not null and server is not null or kind = 'eks' and eks_cluster is not null"
        " and eks_region is not null and eks_role_arn is not null and eks_external_id is not null"
    ),
}


def _text(name: str, default: str | None = None, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[sa.DateTime]:
    default = None if nullable else sa.text("now()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "clusters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        _text("name"),
        _text("slug"),
        _text("kind"),
        *(_text(name, nullable=True) for name in ("server", "eks_cluster", "eks_region", "eks_role_arn")),
        *(_text(name, nullable=True) for name in ("eks_external_id", "apps_domain")),
        _text("routing"),
        sa.Column("credentials", sa.LargeBinary(), nullable=True),
        sa.Column("credentials_key_version", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        _text("health", "unknown"),
        _text("health_reason", nullable=True),
        _moment("health_since", nullable=False),
        _moment("last_seen_at"),
        _moment("checked_at"),
        _moment("check_due_at", nullable=False),
        sa.Column("report", JSONB(), server_default="{}", nullable=False),
        _text("username", nullable=True),
        _text("encrypts_secrets", "unknown"),
        sa.Column("accept_unencrypted_secrets", sa.Boolean(), server_default="false", nullable=False),
        _text("accepted_by", nullable=True),
        _text("actor"),
        _moment("created_at", nullable=False),
        _moment("updated_at", nullable=False),
        *(sa.CheckConstraint(check, name=op.f(f"ck_clusters_{name}")) for name, check in CHECKS.items()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_clusters_org_id_id")),
        sa.UniqueConstraint("org_id", "slug", name=op.f("uq_clusters_org_id_slug")),
    )
    tenant_table("clusters")
    readable_by_doors("clusters", ["org_id", "id", "revision", "check_due_at"])
    _place_environments()
    door(
        "registered_clusters(p_limit integer, p_after uuid)",
        "begin return query select c.org_id, c.id, c.revision, c.check_due_at <= now() from public.clusters c "
        "where c.id > p_after order by 2 limit least(p_limit, 1000); end",
        returns="table (org_id uuid, id uuid, revision integer, is_due boolean)",
    )


def _place_environments() -> None:
    op.add_column("environments", sa.Column("cluster_id", sa.Uuid(), nullable=True))
    add_tenant_key("environments", "cluster_id", "clusters")
    op.create_index(
        op.f("ix_environments_org_id_cluster_id"),
        "environments",
        ["org_id", "cluster_id"],
        postgresql_where=sa.text("cluster_id is not null"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

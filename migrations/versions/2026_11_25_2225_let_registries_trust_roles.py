"""Registry credentials of another kind: a role to assume at AWS, whose passwords are renewed.

Revision: 0029_registry_roles
After: 0028_clusters
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import door, readable_by_doors

revision = "0029_registry_roles"
down_revision = "0028_clusters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = "registry_credentials"
    op.add_column(table, sa.Column("kind", sa.Text(), server_default="password", nullable=False))
    op.add_column(table, sa.Column("role_arn", sa.Text(), nullable=True))
    op.add_column(table, sa.Column("renew_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column(table, "password", nullable=True)
    op.alter_column(table, "password_key_version", nullable=True)
    op.create_check_constraint(
        op.f("ck_registry_credentials_kind"),
        table,
        "kind = 'password' and password is not null and role_arn is null and renew_at is null "
        "or kind = 'ecr' and password is null and role_arn is not null and renew_at is not null",
    )
    op.create_index(
        "ix_registry_credentials_renew", table, ["renew_at"], postgresql_where=sa.text("renew_at is not null")
    )
    readable_by_doors(table, ["org_id", "id", "renew_at"])
    door(
        "stale_pulls(p_limit integer)",
        "begin return query select r.org_id, r.id from public.registry_credentials r where r.renew_at <= now() "
        "order by r.renew_at limit least(p_limit, 1000); end",
        returns="table (org_id uuid, id uuid)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

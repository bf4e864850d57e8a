"""One-use tickets for sockets, and the door that says which credentials of an organization still live.

Revision: 0010_tickets
After: 0009_scope_events
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import door, tenant_table
from sqlalchemy.dialects import postgresql

revision = "0010_tickets"
down_revision = "0009_scope_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_tickets_org_id_organizations")),
        sa.PrimaryKeyConstraint("org_id", "hash", name=op.f("pk_tickets")),
    )
    tenant_table("tickets", grant=("select", "insert", "delete"))
    door(
        "living_door(p_org uuid, p_sessions uuid[], p_tokens bytea[])",
        """
        begin
            return query select s.id, null::bytea, m.role
                from public.sessions s
                join public.memberships m on m.user_id = s.user_id and m.org_id = p_org
                join public.organizations o on o.id = m.org_id and o.deleted_at is null
                where s.id = any (p_sessions) and s.ended_at is null and s.expires_at > now()
            union all select null::uuid, t.hash, null::text
                from public.api_tokens t join public.organizations o on o.id = t.org_id and o.deleted_at is null
                where t.org_id = p_org and t.hash = any (p_tokens) and t.revoked_at is null
                and (t.expires_at is null or t.expires_at > now());
        end
        """,
        returns="table (session_id uuid, token_hash bytea, role text)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

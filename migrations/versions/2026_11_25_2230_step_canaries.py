"""How a release takes over: at once, or by a canary's steps; and that somebody has promoted one.

Revision: 0030_canaries
After: 0029_registry_roles
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030_canaries"
down_revision = "0029_registry_roles"
branch_labels = None
depends_on = None


def upgrade() -> None:
    rolling = sa.text("""'{"strategy": "rolling"}'""")
    op.add_column("app_environments", sa.Column("rollout", JSONB(), server_default=rolling, nullable=False))
    op.add_column("deployments", sa.Column("promote_requested_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

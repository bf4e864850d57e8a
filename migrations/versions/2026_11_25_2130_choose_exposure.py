"""Who reaches an app, and whether it reaches the internet.

Revision: 0025_exposure
After: 0024_registries
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025_exposure"
down_revision = "0024_registries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("app_environments", sa.Column("exposure", sa.Text(), server_default="public", nullable=False))
    op.add_column("app_environments", sa.Column("egress", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_app_environments_exposure"), "app_environments", "exposure in ('public', 'private')"
    )
    op.create_check_constraint(op.f("ck_app_environments_egress"), "app_environments", "egress in ('internet', 'none')")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

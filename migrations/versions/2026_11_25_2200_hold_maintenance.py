"""Whether an app's address answers with the page for maintenance.

Revision: 0027_maintenance
After: 0026_change_sets
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027_maintenance"
down_revision = "0026_change_sets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "app_environments", sa.Column("maintenance", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

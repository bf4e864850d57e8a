"""A dump needs every table and every sequence; without one of them pg_dump ends before its first row.

Revision: 0021_backup_reads_all
After: 0020_store_logs
"""

from __future__ import annotations

from alembic import op

revision = "0021_backup_reads_all"
down_revision = "0020_store_logs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for things in ("tables", "sequences"):
        op.execute(f"grant select on all {things} in schema public to kovra_backup")
        op.execute(f"alter default privileges in schema public grant select on {things} to kovra_backup")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

"""Every foreign key has its index: without one, removing a parent reads the organization's every child.

The queue's functions get a fixed search path as ours have: who may create objects elsewhere cannot slip one in between.

Revision: 0017_index_keys
After: 0016_sweep_heads
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_index_keys"
down_revision = "0016_sweep_heads"
branch_labels = None
depends_on = None

SOMETIMES_NULL = {
    "api_tokens": ("project_id", "app_id", "environment_id"),
    "deployments": ("release_id", "previous_release_id", "restored_release_id", "config_revision_id"),
    "releases": ("copied_from_id",),
}


def upgrade() -> None:
    op.execute(
        """
        do $$ declare f regprocedure; begin
            for f in select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                where n.nspname = 'public' and p.proname like 'procrastinate%' loop
                execute format('alter function %s set search_path = public, pg_temp', f);
            end loop;
        end $$
        """
    )
    with op.get_context().autocommit_block():
        for table, columns in SOMETIMES_NULL.items():
            for column in columns:
                _index(table, column, where=f"{column} is not null")
        _index("releases", "config_revision_id")


def _index(table: str, column: str, *, where: str | None = None) -> None:
    op.create_index(
        f"ix_{table}_org_id_{column}",
        table,
        ["org_id", column],
        postgresql_where=sa.text(where) if where else None,
        postgresql_concurrently=True,
        if_not_exists=True,
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

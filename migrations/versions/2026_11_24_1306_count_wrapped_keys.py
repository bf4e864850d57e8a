"""The door operators use to see which master versions are still needed: counts, no keys.

Revision: 0007_wrapped_keys
After: 0006_moves
"""

from __future__ import annotations

from migrations.policies import door

revision = "0007_wrapped_keys"
down_revision = "0006_moves"
branch_labels = None
depends_on = None


def upgrade() -> None:
    door(
        "wrapped_keys()",
        """
        begin
            return query select k.org_id, k.master_set, k.master_version, count(*) from public.holder_keys k
                where k.state <> 'destroyed' group by 1, 2, 3;
        end
        """,
        returns="table (org_id uuid, master_set text, master_version integer, n bigint)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

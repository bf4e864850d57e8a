"""The door by which a starting process learns which master versions are needed at all: counts, no keys, no tenants.

Revision: 0008_needed_masters
After: 0007_wrapped_keys
"""

from __future__ import annotations

from migrations.policies import door

revision = "0008_needed_masters"
down_revision = "0007_wrapped_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    door(
        "needed_masters()",
        """
        begin
            return query select k.master_set, k.master_version, count(*) from public.holder_keys k
                where k.state <> 'destroyed' group by 1, 2;
        end
        """,
        returns="table (master_set text, master_version integer, n bigint)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

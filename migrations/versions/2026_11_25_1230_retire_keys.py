"""Keys have an end: legal moves of an organization's key versions, since when none is needed, re-sealing taken up again.

Revision: 0015_key_ends
After: 0014_verify_ledger
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import door, readable_by_doors

revision = "0015_key_ends"
down_revision = "0014_verify_ledger"
branch_labels = None
depends_on = None

MOVES = {
    "primary": ("enabled",),
    "enabled": ("disabled", "destroyed"),
    "disabled": ("enabled", "destroyed"),
}


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("holder_keys", sa.Column("unneeded_since", moment, nullable=True))
    op.add_column("master_key_checks", sa.Column("unneeded_since", moment, nullable=True))
    for name in ("touched_at", "settled_at"):
        op.add_column("key_rotations", sa.Column(name, moment, nullable=True))
    op.execute("grant update (unneeded_since) on master_key_checks to kovra_app")
    op.create_check_constraint("ck_holder_keys_bytes", "holder_keys", "(state = 'destroyed') = (wrapped = ''::bytea)")
    op.create_index(
        "uq_holder_keys_primary", "holder_keys", ["org_id", "purpose"], unique=True,
        postgresql_where=sa.text("state = 'primary'"),
    )  # fmt: skip
    _moves()
    _doors()


def _moves() -> None:
    pairs = ", ".join(f"('{before}', '{after}')" for before, afters in MOVES.items() for after in afters)
    op.execute(
        f"""
        create function check_key_move() returns trigger language plpgsql set search_path = '' as $$
        begin
            if new.state <> old.state and (old.state, new.state) not in ({pairs}) then
                raise exception 'illegal move' using errcode = 'KV409';
            end if;
            return new;
        end $$
        """
    )
    op.execute("revoke execute on function check_key_move() from public")
    op.execute(
        "create trigger holder_keys_move before update of state on holder_keys for each row "
        "execute function check_key_move()"
    )


def _doors() -> None:
    readable_by_doors("user_holder_keys", ("user_id", "master_set", "master_version", "state"))
    op.execute("grant select (touched_at, settled_at, created_at) on key_rotations to kovra_lookup")
    door(
        "needed_masters()",
        """
        begin
            return query select k.master_set, k.master_version, count(*) from (
                select o.master_set, o.master_version from public.holder_keys o where o.state <> 'destroyed'
                union all
                select u.master_set, u.master_version from public.user_holder_keys u where u.state <> 'destroyed'
            ) k group by 1, 2;
        end
        """,
        returns="table (master_set text, master_version integer, n bigint)",
    )
    door(
        "replaced_keys()",
        """
        begin
            return query select distinct k.org_id from public.holder_keys k where k.state in ('enabled', 'disabled');
        end
        """,
        returns="table (org_id uuid)",
    )
    # What stands still is taken up again: not finished, or finished before late seals could be found.
    door(
        "stalled_rotations(p_limit integer)",
        """
        begin
            return query select r.org_id, r.id from public.key_rotations r where r.settled_at is null
                and coalesce(r.touched_at, r.created_at) < now() - interval '30 seconds'
                and (r.finished_at is null or r.created_at < now() - interval '90 seconds')
                order by coalesce(r.touched_at, r.created_at) limit p_limit;
        end
        """,
        returns="table (org_id uuid, id uuid)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

"""The database refuses moves of a deployment that the table of states does not list, and changes of releases.

Revision: 0006_moves
After: 0005_hot_apps
"""

from __future__ import annotations

from alembic import op

revision = "0006_moves"
down_revision = "0005_hot_apps"
branch_labels = None
depends_on = None

MOVES = {
    "queued": ("waiting", "preparing", "done"),
    "waiting": ("preparing", "done"),
    "preparing": ("building", "releasing", "rolling_out", "done"),
    "building": ("releasing", "rolling_out", "done"),
    "releasing": ("rolling_out", "done"),
    "rolling_out": ("verifying", "done"),
    "verifying": ("done",),
}


def upgrade() -> None:
    pairs = ", ".join(f"('{before}', '{after}')" for before, afters in MOVES.items() for after in afters)
    op.execute(
        f"""
        create function check_deployment_move() returns trigger language plpgsql set search_path = '' as $$
        begin
            if old.outcome is not null and (new.outcome is distinct from old.outcome or new.phase <> old.phase) then
                raise exception 'final' using errcode = 'KV409';
            end if;
            if new.phase <> old.phase and (old.phase, new.phase) not in ({pairs}) then
                raise exception 'illegal move' using errcode = 'KV409';
            end if;
            return new;
        end $$
        """
    )
    op.execute("revoke execute on function check_deployment_move() from public")
    op.execute(
        "create trigger deployments_move before update of phase, outcome on deployments for each row "
        "execute function check_deployment_move()"
    )
    # A release is immutable: it can be written and purged, never changed.
    op.execute("revoke update on releases from kovra_app")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

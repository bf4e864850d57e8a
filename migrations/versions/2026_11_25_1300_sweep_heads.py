"""Due deployments: those whose turn it is, and at once those whose worker has left its lease to run out.

What waits behind another is no work of the sweep: it came back every few seconds, and many of it hid what was due.

Revision: 0016_sweep_heads
After: 0015_key_ends
"""

from __future__ import annotations

from alembic import op
from migrations.policies import door

revision = "0016_sweep_heads"
down_revision = "0015_key_ends"
branch_labels = None
depends_on = None

KINDS = {
    "deployments": (
        "d.org_id, d.id from public.deployments d where d.outcome is null "
        "and (d.lease_expires_at < now() or d.lease_expires_at is null "
        "and (d.deadline_at < now() or d.updated_at < now() - interval '30 seconds')) "
        "and (d.cancel_requested_at is not null or not exists (select 1 from public.deployments o "
        "where o.org_id = d.org_id and o.app_environment_id = d.app_environment_id and o.outcome is null "
        "and o.number < d.number)) and d.id"
    ),
    "watching": (
        "a.org_id, a.id from public.app_environments a where a.health = 'watching' and a.watch_until < now() and a.id"
    ),
    "live": (
        "a.org_id, a.id from public.app_environments a where a.current_release_id is not null and a.deleted_at is null "
        "and a.id"
    ),
    "purge_projects": "p.org_id, p.id from public.projects p where p.purge_at < now() and p.id",
    "purge_environments": "e.org_id, e.id from public.environments e where e.purge_at < now() and e.id",
    "purge_apps": "a.org_id, a.id from public.apps a where a.purge_at < now() and a.id",
    "key_rotations": "r.org_id, r.id from public.key_rotations r where r.finished_at is null and r.id",
    "organizations": "o.id, o.id from public.organizations o where o.id",
}


def upgrade() -> None:
    op.execute("grant select (app_environment_id, number, cancel_requested_at) on deployments to kovra_lookup")
    branches = " els".join(
        f"if p_kind = '{kind}' then return query select {query} > p_after order by 2 limit least(p_limit, 1000);"
        for kind, query in KINDS.items()
    )
    door(
        "due_work(p_kind text, p_limit integer, p_after uuid)",
        f"begin {branches} else raise exception 'unknown kind of work'; end if; end",
        returns="table (org_id uuid, id uuid)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

"""Due work comes in pages, ordered by id; of all kinds, also of live app environments. Organizations can be walked too.

Revision: 0013_page_due_work
After: 0012_hot_deployment
"""

from __future__ import annotations

from alembic import op
from migrations.policies import door

revision = "0013_page_due_work"
down_revision = "0012_hot_deployment"
branch_labels = None
depends_on = None

KINDS = {
    "deployments": (
        "d.org_id, d.id from public.deployments d where d.outcome is null "
        "and (d.lease_expires_at is null or d.lease_expires_at < now()) "
        "and (d.deadline_at < now() or d.updated_at < now() - interval '30 seconds') and d.id"
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
    branches = " els".join(
        f"if p_kind = '{kind}' then return query select {query} > p_after order by 2 limit least(p_limit, 1000);"
        for kind, query in KINDS.items()
    )
    op.execute("drop function due_work(text, integer)")
    door(
        "due_work(p_kind text, p_limit integer, p_after uuid)",
        f"begin {branches} else raise exception 'unknown kind of work'; end if; end",
        returns="table (org_id uuid, id uuid)",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

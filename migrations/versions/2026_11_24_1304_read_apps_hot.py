"""Hot reads: one app, a page of apps, in one round trip each.

Revision: 0005_hot_apps
After: 0004_queue
"""

from __future__ import annotations

from migrations.policies import function

revision = "0005_hot_apps"
down_revision = "0004_queue"
branch_labels = None
depends_on = None

COLUMNS = (
    "id uuid, project_id uuid, name text, slug text, image text, processes jsonb, release_command jsonb, drain_s integer, "
    "created_at timestamptz, updated_at timestamptz, deleted_at timestamptz, purge_at timestamptz"
)
SELECT = (
    "select a.id, a.project_id, a.name, a.slug, a.image, a.processes, a.release_command, a.drain_s, a.created_at, "
    "a.updated_at, a.deleted_at, a.purge_at from public.apps a where a.org_id = p_org and a.deleted_at is null"
)
ENTER = "perform public.enter_any(p_org, p_user, p_session, p_hash, p_right);"
WHO = "p_org uuid, p_user uuid, p_session uuid, p_hash bytea, p_right text[]"


def upgrade() -> None:
    function(
        f"hot_app({WHO}, p_id uuid)",
        f"#variable_conflict use_column\nbegin {ENTER} return query {SELECT} and a.id = p_id; end",
        returns=f"table ({COLUMNS})",
    )
    function(
        f"hot_apps({WHO}, p_after uuid, p_limit integer, p_project uuid, p_project_slug text, p_slug text)",
        f"""
        #variable_conflict use_column
        declare
            v_project uuid := p_project;
        begin
            {ENTER}
            if p_project_slug is not null then
                select p.id into v_project from public.projects p
                    where p.org_id = p_org and p.slug = p_project_slug and p.deleted_at is null;
                if v_project is null then
                    return;
                end if;
            end if;
            -- One plan per shape: a plan for "any of these filters" would use no index.
            if v_project is null and p_slug is null then
                return query {SELECT} and a.id < p_after order by a.org_id desc, a.id desc limit p_limit;
            elsif p_slug is null then
                return query {SELECT} and a.id < p_after and a.project_id = v_project order by a.id desc limit p_limit;
            else
                return query {SELECT} and a.id < p_after and (v_project is null or a.project_id = v_project)
                    and a.slug = p_slug order by a.id desc limit p_limit;
            end if;
        end
        """,
        returns=f"table ({COLUMNS})",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

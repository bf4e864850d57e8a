"""One deployment in one round trip: pipelines and dashboards poll it.

Revision: 0012_hot_deployment
After: 0011_keep_answers
"""

from __future__ import annotations

from migrations.policies import function

revision = "0012_hot_deployment"
down_revision = "0011_keep_answers"
branch_labels = None
depends_on = None

COLUMNS = (
    "id uuid, app_environment_id uuid, project_id uuid, app_id uuid, environment_id uuid, number integer, source jsonb, "
    "trigger text, actor text, message text, config_revision_id uuid, release_id uuid, release_number integer, "
    "release_image text, release_digest text, previous_release_id uuid, phase text, outcome text, reason jsonb, "
    "restored_release_id uuid, phases jsonb, progress jsonb, cancel_requested_at timestamptz, cancel_requested_by text, "
    "deadline_at timestamptz, created_at timestamptz, updated_at timestamptz, finished_at timestamptz, fence integer, "
    "ahead bigint, blocked_by uuid"
)
AHEAD = (
    "from public.deployments a where a.org_id = p_org and a.app_environment_id = d.app_environment_id "
    "and a.outcome is null and a.number < d.number and d.outcome is null"
)


def upgrade() -> None:
    function(
        "hot_deployment(p_org uuid, p_user uuid, p_session uuid, p_hash bytea, p_right text[], p_id uuid)",
        f"""
        #variable_conflict use_column
        begin
            perform public.enter_any(p_org, p_user, p_session, p_hash, p_right);
            return query select d.id, d.app_environment_id, x.project_id, d.app_id, d.environment_id, d.number, d.source,
                    d.trigger, d.actor, d.message, d.config_revision_id, d.release_id, r.number, r.image, r.digest,
                    d.previous_release_id, d.phase, d.outcome, d.reason, d.restored_release_id, d.phases, d.progress,
                    d.cancel_requested_at, d.cancel_requested_by, d.deadline_at, d.created_at, d.updated_at,
                    d.finished_at, d.fence, (select count(*) {AHEAD}),
                    (select a.id {AHEAD} order by a.number limit 1)
                from public.deployments d
                -- The join carries a token's narrowing: app_environments is where its policy stands.
                join public.app_environments x on x.org_id = d.org_id and x.id = d.app_environment_id
                left join public.releases r on r.org_id = d.org_id and r.id = d.release_id
                where d.org_id = p_org and d.id = p_id;
        end
        """,
        returns=f"table ({COLUMNS})",
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

"""One-off runs and cron jobs; due work finds open runs, what ended ones left, and ticks.

Revision: 0022_runs
After: 0021_backup_reads_all
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import door, readable_by_doors, tenant_table
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022_runs"
down_revision = "0021_backup_reads_all"
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
    "runs": (
        "r.org_id, r.id from public.runs r where r.outcome is null and (r.lease_expires_at < now() "
        "or r.lease_expires_at is null and r.updated_at < now() - interval '30 seconds') and r.id"
    ),
    "untidy_runs": (
        "r.org_id, r.id from public.runs r where r.outcome is not null and r.tidied_at is null "
        "and r.finished_at < now() - interval '2 minutes' and r.id"
    ),
    "cron_jobs": "c.org_id, c.id from public.cron_jobs c where c.next_run_at <= now() and c.id",
}
MOVES = {"queued": ("starting", "done"), "starting": ("running", "done"), "running": ("done",)}


def upgrade() -> None:
    _tables()
    readable_by_doors("runs", ("id", "org_id", "outcome", "updated_at", "finished_at", "tidied_at", "lease_expires_at"))
    readable_by_doors("cron_jobs", ("id", "org_id", "next_run_at"))
    branches = " els".join(
        f"if p_kind = '{kind}' then return query select {query} > p_after order by 2 limit least(p_limit, 1000);"
        for kind, query in KINDS.items()
    )
    door(
        "due_work(p_kind text, p_limit integer, p_after uuid)",
        f"begin {branches} else raise exception 'unknown kind of work'; end if; end",
        returns="table (org_id uuid, id uuid)",
    )
    _moves()


def _moves() -> None:
    """What has ended stays as it is; the phases only go on."""
    pairs = ", ".join(f"('{before}', '{after}')" for before, afters in MOVES.items() for after in afters)
    op.execute(
        f"""
        create function check_run_move() returns trigger language plpgsql set search_path = '' as $$
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
    op.execute("revoke execute on function check_run_move() from public")
    op.execute(
        "create trigger runs_move before update of phase, outcome on runs for each row execute function check_run_move()"
    )


def _tables() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "cron_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("command", JSONB(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("time_limit_s", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("next_run_at", time, nullable=True),
        sa.Column("created_at", time, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", time, server_default=sa.func.now(), nullable=False),
        sa.Column("deleted_at", time, nullable=True),
        _within("cron_jobs", "app_environment_id", "app_environments"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cron_jobs")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_cron_jobs_org_id_id")),
    )
    op.create_index(
        "uq_cron_jobs_name", "cron_jobs", ["org_id", "app_environment_id", "name"], unique=True,
        postgresql_where=sa.text("deleted_at is null"),
    )  # fmt: skip
    op.create_index(op.f("ix_cron_jobs_org_id_app_environment_id"), "cron_jobs", ["org_id", "app_environment_id"])
    op.create_index(
        "ix_cron_jobs_due", "cron_jobs", ["next_run_at"], postgresql_where=sa.text("next_run_at is not null")
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("cron_job_id", sa.Uuid(), nullable=True),
        sa.Column("scheduled_for", time, nullable=True),
        sa.Column("release_id", sa.Uuid(), nullable=True),
        sa.Column("command", JSONB(), nullable=False),
        sa.Column("env", JSONB(), server_default="{}", nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("time_limit_s", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), server_default="queued", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", JSONB(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("progress", JSONB(), server_default="{}", nullable=False),
        sa.Column("cancel_requested_at", time, nullable=True),
        sa.Column("deadline_at", time, nullable=True),
        sa.Column("created_at", time, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", time, server_default=sa.func.now(), nullable=False),
        sa.Column("started_at", time, nullable=True),
        sa.Column("finished_at", time, nullable=True),
        sa.Column("tidied_at", time, nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", time, nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("phase in ('queued', 'starting', 'running', 'done')", name=op.f("ck_runs_phase")),
        sa.CheckConstraint(
            "outcome in ('succeeded', 'failed', 'canceled', 'timed_out', 'skipped')", name=op.f("ck_runs_outcome")
        ),
        sa.CheckConstraint("(phase = 'done') = (outcome is not null)", name=op.f("ck_runs_done_has_outcome")),
        _within("runs", "app_environment_id", "app_environments"),
        _within("runs", "cron_job_id", "cron_jobs"),
        _within("runs", "release_id", "releases"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_runs_org_id_id")),
        sa.UniqueConstraint(
            "org_id", "cron_job_id", "scheduled_for", name=op.f("uq_runs_org_id_cron_job_id_scheduled_for")
        ),
    )
    op.create_index(op.f("ix_runs_org_id_app_environment_id_id"), "runs", ["org_id", "app_environment_id", "id"])
    op.create_index(
        op.f("ix_runs_org_id_release_id"), "runs", ["org_id", "release_id"],
        postgresql_where=sa.text("release_id is not null"),
    )  # fmt: skip
    op.create_index("ix_runs_open", "runs", ["updated_at"], postgresql_where=sa.text("outcome is null"))
    op.create_index(
        "ix_runs_untidy", "runs", ["finished_at"],
        postgresql_where=sa.text("outcome is not null and tidied_at is null"),
    )  # fmt: skip
    for table in ("cron_jobs", "runs"):
        tenant_table(table)


def _within(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["org_id", column], [f"{target}.org_id", f"{target}.id"], name=op.f(f"fk_{table}_org_id_{column}"),
        ondelete="CASCADE",
    )  # fmt: skip


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

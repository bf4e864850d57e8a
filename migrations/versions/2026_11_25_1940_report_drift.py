"""Reports of drift and of walls, proofs of isolation; what becomes of changes made by hand, and when to look next.

Revision: 0023_report_drift
After: 0022_runs
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from migrations.policies import door, tenant_table
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023_report_drift"
down_revision = "0022_runs"
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
    "drift": (
        "a.org_id, a.id from public.app_environments a where a.current_release_id is not null and a.deleted_at is null "
        "and a.drift_due_at <= now() and a.id"
    ),
}
PARENTS = {"drift_reports": "app_environment", "wall_reports": "environment"}


def _text(name: str, default: str | None = None, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=nullable)


def _json(name: str, default: str) -> sa.Column[str]:
    return sa.Column(name, JSONB(), server_default=default, nullable=False)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[sa.DateTime]:
    default = None if nullable else sa.text("now()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=nullable)


def upgrade() -> None:
    op.add_column("app_environments", _text("drift_policy", "restore"))
    op.create_check_constraint(
        op.f("ck_app_environments_drift_policy"), "app_environments", "drift_policy in ('restore', 'report')"
    )
    op.add_column("app_environments", _moment("drift_due_at", nullable=False))
    op.create_index(
        "ix_app_environments_drift_due",
        "app_environments",
        ["drift_due_at"],
        postgresql_where=sa.text("current_release_id is not null and deleted_at is null"),
    )
    op.execute("grant select (drift_due_at) on app_environments to kovra_lookup")
    for table in PARENTS:
        _report(table)
    _proofs()
    for table in (*PARENTS, "isolation_proofs"):
        tenant_table(table)
    branches = " els".join(
        f"if p_kind = '{kind}' then return query select {query} > p_after order by 2 limit least(p_limit, 1000);"
        for kind, query in KINDS.items()
    )
    door(
        "due_work(p_kind text, p_limit integer, p_after uuid)",
        f"begin {branches} else raise exception 'unknown kind of work'; end if; end",
        returns="table (org_id uuid, id uuid)",
    )


def _report(table: str) -> None:
    parent = PARENTS[table]
    more = "facts" if table == "wall_reports" else "applied"
    op.create_table(
        table,
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column(f"{parent}_id", sa.Uuid(), nullable=False),
        _text("state", "unknown"),
        _text("reason", nullable=True),
        _json("items", "[]"),
        _json(more, "{}"),
        _moment("checked_at"),
        _moment("updated_at", nullable=False),
        sa.CheckConstraint("state in ('in_sync', 'drifted', 'unknown')", name=op.f(f"ck_{table}_state")),
        sa.ForeignKeyConstraint(
            ["org_id", f"{parent}_id"],
            [f"{parent}s.org_id", f"{parent}s.id"],
            name=op.f(f"fk_{table}_org_id_{parent}_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", f"{parent}_id", name=op.f(f"pk_{table}")),
    )


def _proofs() -> None:
    op.create_table(
        "isolation_proofs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("environment_id", sa.Uuid(), nullable=False),
        _text("state", "queued"),
        _text("reason", nullable=True),
        _json("attempts", "[]"),
        sa.Column("simulated", sa.Boolean(), server_default="false", nullable=False),
        _text("actor"),
        _moment("created_at", nullable=False),
        _moment("updated_at", nullable=False),
        _moment("finished_at"),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'proven', 'broken', 'failed')", name=op.f("ck_isolation_proofs_state")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "environment_id"],
            ["environments.org_id", "environments.id"],
            name=op.f("fk_isolation_proofs_org_id_environment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_isolation_proofs")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_isolation_proofs_org_id_id")),
    )
    op.create_index(
        op.f("ix_isolation_proofs_org_id_environment_id_id"), "isolation_proofs", ["org_id", "environment_id", "id"]
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")

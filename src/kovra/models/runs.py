"""One-off runs of a release's image, and the cron jobs that start them by the clock."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Table, UniqueConstraint
from sqlalchemy import text as sql

from kovra.models.metadata import (
    created,
    document,
    identity,
    metadata,
    moment,
    number,
    organization,
    pointed_at,
    reference,
    text,
    updated,
    within,
)

PHASES = ("queued", "starting", "running", "done")
OUTCOMES = ("succeeded", "failed", "canceled", "timed_out", "skipped")


def _one_of(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{v}'" for v in values)


cron_jobs = Table(
    "cron_jobs",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    text("name"),
    text("schedule"),
    text("time_zone"),
    document("command"),
    text("size"),
    number("time_limit_s"),
    Column("enabled", Boolean, nullable=False),
    # The next tick that has not been decided about; null while it is disabled, or where there is none.
    moment("next_run_at"),
    created(),
    updated(),
    # A deleted one keeps its history.
    moment("deleted_at"),
    UniqueConstraint("org_id", "id"),
    Index(
        "uq_cron_jobs_name",
        "org_id",
        "app_environment_id",
        "name",
        unique=True,
        postgresql_where=sql("deleted_at is null"),
    ),
    # The foreign key's own: those that are deleted are looked for too.
    Index(None, "org_id", "app_environment_id"),
    # The door due_work finds ticks of all organizations here.
    Index("ix_cron_jobs_due", "next_run_at", postgresql_where=sql("next_run_at is not null")),
    within("app_environment_id", "app_environments", cascade=True),
)

runs = Table(
    "runs",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    reference("cron_job_id", nullable=True),
    # The tick it stands for: one run each, whatever happens to who decides about it.
    moment("scheduled_for"),
    reference("release_id", nullable=True),
    document("command"),
    document("env", default="{}"),
    text("size"),
    number("time_limit_s"),
    text("trigger"),
    text("actor"),
    text("phase", default="queued"),
    text("outcome", nullable=True),
    document("reason", nullable=True),
    number("exit_code", nullable=True),
    # What a step must remember for the next one.
    document("progress", default="{}"),
    moment("cancel_requested_at"),
    moment("deadline_at"),
    created(),
    updated(),
    moment("started_at"),
    moment("finished_at"),
    # When what it left in the cluster was taken away.
    moment("tidied_at"),
    text("lease_owner", nullable=True),
    moment("lease_expires_at"),
    Column("fence", Integer, nullable=False, server_default="0"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "cron_job_id", "scheduled_for"),
    Index(None, "org_id", "app_environment_id", "id"),
    # The door due_work finds open runs, and what ended ones left, of all organizations here.
    Index("ix_runs_open", "updated_at", postgresql_where=sql("outcome is null")),
    Index("ix_runs_untidy", "finished_at", postgresql_where=sql("outcome is not null and tidied_at is null")),
    CheckConstraint(f"phase in ({_one_of(PHASES)})", name="phase"),
    CheckConstraint(f"outcome in ({_one_of(OUTCOMES)})", name="outcome"),
    CheckConstraint("(phase = 'done') = (outcome is not null)", name="done_has_outcome"),
    within("app_environment_id", "app_environments", cascade=True),
    within("cron_job_id", "cron_jobs", cascade=True),
    within("release_id", "releases", cascade=True),
    pointed_at("release_id", nullable=True),
)

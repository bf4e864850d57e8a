"""Releases (immutable) and deployments (attempts to make one live)."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, UniqueConstraint
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

releases = Table(
    "releases",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    number("number"),
    # ``image`` is what the customer named, ``pinned`` the reference by digest that pods run.
    text("image"),
    text("pinned"),
    text("digest"),
    reference("config_revision_id"),
    number("config_number"),
    document("processes"),
    document("release_command", nullable=True),
    number("drain_s"),
    document("warnings", default="[]"),
    reference("copied_from_id", nullable=True),
    text("actor"),
    created(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_environment_id", "number"),
    within("app_environment_id", "app_environments"),
    within("config_revision_id", "config_revisions"),
    within("copied_from_id", "releases"),
    pointed_at("config_revision_id"),
    pointed_at("copied_from_id", nullable=True),
)

PHASES = ("queued", "waiting", "preparing", "building", "releasing", "rolling_out", "verifying", "done")
OUTCOMES = ("live", "failed", "canceled", "superseded", "skipped")


def _one_of(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{v}'" for v in values)


deployments = Table(
    "deployments",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    reference("app_id"),
    reference("environment_id"),
    number("number"),
    document("source"),
    text("trigger"),
    text("actor"),
    text("message", default=""),
    text("overlap_policy"),
    reference("config_revision_id", nullable=True),
    reference("release_id", nullable=True),
    reference("previous_release_id", nullable=True),
    text("phase", default="queued"),
    text("outcome", nullable=True),
    document("reason", nullable=True),
    reference("restored_release_id", nullable=True),
    document("phases", default="[]"),
    # What a step must remember for the next one: names of jobs, the inventory before, when the settling began.
    document("progress", default="{}"),
    moment("cancel_requested_at"),
    text("cancel_requested_by", nullable=True),
    moment("promote_requested_at"),
    moment("deadline_at"),
    created(),
    updated(),
    moment("finished_at"),
    # The lease of the step at work: every write of a step carries the fence, so a late worker changes nothing.
    text("lease_owner", nullable=True),
    moment("lease_expires_at"),
    Column("fence", Integer, nullable=False, server_default="0"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_environment_id", "number"),
    Index(None, "org_id", "app_id"),
    Index(None, "org_id", "environment_id"),
    # The door due_work finds open deployments of all organizations here.
    Index("ix_deployments_open", "phase", "updated_at", postgresql_where=sql("outcome is null")),
    Index(
        "ix_deployments_queue",
        "org_id",
        "app_environment_id",
        "number",
        postgresql_where=sql("outcome is null"),
    ),
    CheckConstraint(f"phase in ({_one_of(PHASES)})", name="phase"),
    CheckConstraint(f"outcome in ({_one_of(OUTCOMES)})", name="outcome"),
    CheckConstraint("(phase = 'done') = (outcome is not null)", name="done_has_outcome"),
    within("app_environment_id", "app_environments"),
    within("app_id", "apps"),
    within("environment_id", "environments"),
    within("release_id", "releases"),
    within("previous_release_id", "releases"),
    within("restored_release_id", "releases"),
    within("config_revision_id", "config_revisions"),
    pointed_at("release_id", nullable=True),
    pointed_at("previous_release_id", nullable=True),
    pointed_at("restored_release_id", nullable=True),
    pointed_at("config_revision_id", nullable=True),
)

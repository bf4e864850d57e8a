"""Change sets: what somebody wants of an environment, and what that would change."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Table, UniqueConstraint

from kovra.foundation.db.sealed import sealed_column
from kovra.foundation.keyring import Purpose
from kovra.models.metadata import (
    created,
    document,
    identity,
    metadata,
    moment,
    organization,
    reference,
    text,
    updated,
    within,
)

change_sets = Table(
    "change_sets",
    metadata,
    identity(),
    organization(),
    reference("project_id"),
    reference("environment_id"),
    text("state", default="planning"),
    text("message", default=""),
    Column("prune", Boolean, nullable=False, server_default="false"),
    # What is wanted, and the values of config vars before and after: sealed as these are everywhere else.
    *sealed_column("content", Purpose.config),
    # Part by part, what it was made against: digests and numbers, no values.
    document("base", default="{}"),
    # What it would change; of config vars, names.
    document("plan", nullable=True),
    document("reason", nullable=True),
    document("deployments", default="[]"),
    text("trigger"),
    text("actor"),
    text("applied_by", nullable=True),
    created(),
    updated(),
    moment("planned_at"),
    moment("applied_at"),
    moment("expires_at", nullable=False),
    UniqueConstraint("org_id", "id"),
    # The newest of an environment; the foreign keys' own.
    Index(None, "org_id", "environment_id", "id"),
    Index(None, "org_id", "project_id"),
    CheckConstraint("state in ('planning', 'ready', 'failed', 'applied')", name="state"),
    within("project_id", "projects", cascade=True),
    within("environment_id", "environments", cascade=True),
)

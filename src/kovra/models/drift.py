"""What the cluster shows of what was put into it: of each app environment, of each environment's walls, and proofs of them."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, UniqueConstraint

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

_SEEN = "state in ('in_sync', 'drifted', 'unknown')"

drift_reports = Table(
    "drift_reports",
    metadata,
    organization(),
    reference("app_environment_id"),
    text("state", default="unknown"),
    # Why it is drifted for good, or could not be looked at.
    text("reason", nullable=True),
    document("items", default="[]"),
    # The objects as they were put into the cluster, without values of the Secret: later versions of Kovra may put others.
    document("applied", default="{}"),
    moment("checked_at"),
    updated(),
    PrimaryKeyConstraint("org_id", "app_environment_id"),
    CheckConstraint(_SEEN, name="state"),
    within("app_environment_id", "app_environments", cascade=True),
)

wall_reports = Table(
    "wall_reports",
    metadata,
    organization(),
    reference("environment_id"),
    text("state", default="unknown"),
    text("reason", nullable=True),
    document("items", default="[]"),
    # What stands: names of policies, the quota, Pod Security.
    document("facts", default="{}"),
    moment("checked_at"),
    updated(),
    PrimaryKeyConstraint("org_id", "environment_id"),
    CheckConstraint(_SEEN, name="state"),
    within("environment_id", "environments", cascade=True),
)

isolation_proofs = Table(
    "isolation_proofs",
    metadata,
    identity(),
    organization(),
    reference("environment_id"),
    text("state", default="queued"),
    text("reason", nullable=True),
    document("attempts", default="[]"),
    # In a simulated cluster nothing runs, so nothing is proven of a real one.
    Column("simulated", Boolean, nullable=False, server_default="false"),
    text("actor"),
    created(),
    updated(),
    moment("finished_at"),
    UniqueConstraint("org_id", "id"),
    # The newest of an environment.
    Index(None, "org_id", "environment_id", "id"),
    CheckConstraint("state in ('queued', 'running', 'proven', 'broken', 'failed')", name="state"),
    within("environment_id", "environments", cascade=True),
)

"""Projects, environments, apps, and an app environment for every pair of the last two."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, Table, UniqueConstraint, func
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


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="false")


projects = Table(
    "projects",
    metadata,
    identity(),
    organization(),
    text("name"),
    text("slug"),
    text("description", default=""),
    created(),
    updated(),
    moment("deleted_at"),
    moment("purge_at"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "slug"),
)

environments = Table(
    "environments",
    metadata,
    identity(),
    organization(),
    reference("project_id"),
    text("name"),
    text("slug"),
    text("kind"),
    _flag("protected"),
    _flag("delete_protected"),
    text("overlap_policy", default="queue_latest"),
    # Null: Kovra's own. It never changes: what runs in one cluster is not carried to another.
    reference("cluster_id", nullable=True),
    created(),
    updated(),
    moment("deleted_at"),
    moment("purge_at"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "project_id", "slug"),
    CheckConstraint("kind in ('development', 'preview', 'staging', 'production')", name="kind"),
    CheckConstraint("overlap_policy in ('queue_latest', 'queue_all', 'override', 'reject')", name="overlap_policy"),
    within("project_id", "projects"),
    within("cluster_id", "clusters"),
    pointed_at("cluster_id", nullable=True),
)

apps = Table(
    "apps",
    metadata,
    identity(),
    organization(),
    reference("project_id"),
    text("name"),
    text("slug"),
    text("image", nullable=True),
    document("processes"),
    document("release_command", nullable=True),
    number("drain_s", default="10"),
    created(),
    updated(),
    moment("deleted_at"),
    moment("purge_at"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "project_id", "slug"),
    within("project_id", "projects"),
)

app_environments = Table(
    "app_environments",
    metadata,
    identity(),
    organization(),
    reference("project_id"),
    reference("app_id"),
    reference("environment_id"),
    # What a customer asks for here; null means "as the app or the environment says".
    document("scale", default="{}"),
    text("overlap_policy", nullable=True),
    number("watch_window_s", default="120"),
    _flag("auto_rollback"),
    _flag("suspended"),
    _flag("auto_deploy_paused"),
    text("drift_policy", default="restore"),
    text("exposure", default="public"),
    # Null: what is public reaches the internet, what is private does not.
    text("egress", nullable=True),
    _flag("maintenance"),
    document("rollout", default='{"strategy": "rolling"}'),
    # Counters under this row's lock.
    number("last_config_number", default="0"),
    number("last_release_number", default="0"),
    number("last_deployment_number", default="0"),
    # What is true: the release that serves, its health, and what was put into the cluster.
    reference("current_release_id", nullable=True),
    reference("current_deployment_id", nullable=True),
    text("health", default="unknown"),
    moment("watch_until"),
    document("inventory", default="[]"),
    document("seen", default="{}"),
    # When the cluster is next compared with what was put into it; found by the door due_work.
    Column("drift_due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    created(),
    updated(),
    moment("deleted_at"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_id", "environment_id"),
    Index(None, "org_id", "environment_id"),
    Index(None, "org_id", "project_id"),
    Index(
        "ix_app_environments_drift_due",
        "drift_due_at",
        postgresql_where=sql("current_release_id is not null and deleted_at is null"),
    ),
    CheckConstraint("drift_policy in ('restore', 'report')", name="drift_policy"),
    CheckConstraint("exposure in ('public', 'private')", name="exposure"),
    CheckConstraint("egress in ('internet', 'none')", name="egress"),
    CheckConstraint("health in ('unknown', 'watching', 'stable', 'degraded', 'suspended')", name="health"),
    CheckConstraint("overlap_policy in ('queue_latest', 'queue_all', 'override', 'reject')", name="overlap_policy"),
    within("project_id", "projects"),
    within("app_id", "apps"),
    within("environment_id", "environments"),
)

"""Create the tables of the first deploy: identity, tenancy, projects, config, releases, ledger, keys.

Revision: 0001_tables
After:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_tables"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_events_org_id_id")),
        sa.UniqueConstraint("org_id", "seq", name=op.f("uq_events_org_id_seq")),
    )
    op.create_table(
        "holder_keys",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("master_set", sa.Text(), nullable=False),
        sa.Column("master_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state in ('primary', 'enabled', 'disabled', 'destroyed')", name=op.f("ck_holder_keys_state")
        ),
        sa.UniqueConstraint("org_id", "purpose", "version", name=op.f("uq_holder_keys_org_id_purpose_version")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint(
            "org_id", "principal", "route", "key", name=op.f("uq_idempotency_keys_org_id_principal_route_key")
        ),
    )
    op.create_table(
        "key_rotations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("resealed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_rotations")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_key_rotations_org_id_id")),
    )
    op.create_table(
        "master_key_checks",
        sa.Column("master_set", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("check_value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("master_set", "version", name=op.f("pk_master_key_checks")),
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), server_default="free", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("plan in ('free', 'team', 'business', 'enterprise')", name=op.f("ck_organizations_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("slug", name=op.f("uq_organizations_slug")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purge_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_projects_org_id_id")),
        sa.UniqueConstraint("org_id", "slug", name=op.f("uq_projects_org_id_slug")),
    )
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("refilled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limits")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_org_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "apps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("processes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("release_command", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("drain_s", sa.Integer(), server_default="10", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purge_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "project_id"], ["projects.org_id", "projects.id"], name=op.f("fk_apps_org_id_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_apps_org_id_id")),
        sa.UniqueConstraint("org_id", "project_id", "slug", name=op.f("uq_apps_org_id_project_id_slug")),
    )
    op.create_table(
        "environments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("protected", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("delete_protected", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("overlap_policy", sa.Text(), server_default="queue_latest", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purge_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind in ('development', 'preview', 'staging', 'production')", name=op.f("ck_environments_kind")
        ),
        sa.CheckConstraint(
            "overlap_policy in ('queue_latest', 'queue_all', 'override', 'reject')",
            name=op.f("ck_environments_overlap_policy"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "project_id"], ["projects.org_id", "projects.id"], name=op.f("fk_environments_org_id_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environments")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_environments_org_id_id")),
        sa.UniqueConstraint("org_id", "project_id", "slug", name=op.f("uq_environments_org_id_project_id_slug")),
    )
    op.create_table(
        "event_heads",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_event_heads_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_event_heads")),
    )
    op.create_table(
        "memberships",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role in ('owner', 'admin', 'member', 'viewer')", name=op.f("ck_memberships_role")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_memberships_org_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_memberships_org_id_id")),
        sa.UniqueConstraint("org_id", "user_id", name=op.f("uq_memberships_org_id_user_id")),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id", "org_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("current_org_id", sa.Uuid(), nullable=True),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.Column("ip", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id_id"), "sessions", ["user_id", "id"], unique=False)
    op.create_table(
        "user_holder_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("master_set", sa.Text(), nullable=False),
        sa.Column("master_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state in ('primary', 'enabled', 'disabled', 'destroyed')", name=op.f("ck_user_holder_keys_state")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_holder_keys_user_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("user_id", "purpose", "version", name=op.f("uq_user_holder_keys_user_id_purpose_version")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("permissions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("app_id", sa.Uuid(), nullable=True),
        sa.Column("environment_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("creator", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cardinality(permissions) > 0", name=op.f("ck_api_tokens_some_permission")),
        sa.ForeignKeyConstraint(
            ["org_id", "app_id"], ["apps.org_id", "apps.id"], name=op.f("fk_api_tokens_org_id_app_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "environment_id"],
            ["environments.org_id", "environments.id"],
            name=op.f("fk_api_tokens_org_id_environment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "project_id"], ["projects.org_id", "projects.id"], name=op.f("fk_api_tokens_org_id_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("org_id", "hash", name=op.f("uq_api_tokens_org_id_hash")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_api_tokens_org_id_id")),
    )
    op.create_table(
        "app_environments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("environment_id", sa.Uuid(), nullable=False),
        sa.Column("scale", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("overlap_policy", sa.Text(), nullable=True),
        sa.Column("watch_window_s", sa.Integer(), server_default="120", nullable=False),
        sa.Column("auto_rollback", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("suspended", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("auto_deploy_paused", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("last_config_number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_release_number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_deployment_number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("current_release_id", sa.Uuid(), nullable=True),
        sa.Column("current_deployment_id", sa.Uuid(), nullable=True),
        sa.Column("health", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("watch_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("inventory", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("seen", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "health in ('unknown', 'watching', 'stable', 'degraded', 'suspended')",
            name=op.f("ck_app_environments_health"),
        ),
        sa.CheckConstraint(
            "overlap_policy in ('queue_latest', 'queue_all', 'override', 'reject')",
            name=op.f("ck_app_environments_overlap_policy"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "app_id"], ["apps.org_id", "apps.id"], name=op.f("fk_app_environments_org_id_app_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "environment_id"],
            ["environments.org_id", "environments.id"],
            name=op.f("fk_app_environments_org_id_environment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "project_id"],
            ["projects.org_id", "projects.id"],
            name=op.f("fk_app_environments_org_id_project_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app_environments")),
        sa.UniqueConstraint(
            "org_id", "app_id", "environment_id", name=op.f("uq_app_environments_org_id_app_id_environment_id")
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_app_environments_org_id_id")),
    )
    op.create_index(
        op.f("ix_app_environments_org_id_environment_id"),
        "app_environments",
        ["org_id", "environment_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_app_environments_org_id_project_id"), "app_environments", ["org_id", "project_id"], unique=False
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_refresh_tokens_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_refresh_tokens_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_refresh_tokens_hash")),
    )
    op.create_index(
        op.f("ix_refresh_tokens_session_id_parent_id"), "refresh_tokens", ["session_id", "parent_id"], unique=False
    )
    op.create_index(
        op.f("ix_refresh_tokens_user_id_session_id"), "refresh_tokens", ["user_id", "session_id"], unique=False
    )
    op.create_table(
        "config_revisions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("vars", sa.LargeBinary(), nullable=False),
        sa.Column("vars_key_version", sa.Integer(), nullable=False),
        sa.Column("var_names", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("secrets", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("restored_from", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_config_revisions_org_id_app_environment_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_config_revisions")),
        sa.UniqueConstraint(
            "org_id", "app_environment_id", "number", name=op.f("uq_config_revisions_org_id_app_environment_id_number")
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_config_revisions_org_id_id")),
    )
    op.create_table(
        "secret_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("value_key_version", sa.Integer(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("digest_key_version", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_secret_versions_org_id_app_environment_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secret_versions")),
        sa.UniqueConstraint(
            "org_id",
            "app_environment_id",
            "name",
            "version",
            name=op.f("uq_secret_versions_org_id_app_environment_id_name_version"),
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_secret_versions_org_id_id")),
    )
    op.create_index(
        op.f("ix_secret_versions_org_id_value_key_version"),
        "secret_versions",
        ["org_id", "value_key_version"],
        unique=False,
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("config_revision_id", sa.Uuid(), nullable=False),
        sa.Column("config_number", sa.Integer(), nullable=False),
        sa.Column("processes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("release_command", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("drain_s", sa.Integer(), nullable=False),
        sa.Column("warnings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("copied_from_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_releases_org_id_app_environment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "config_revision_id"],
            ["config_revisions.org_id", "config_revisions.id"],
            name=op.f("fk_releases_org_id_config_revision_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "copied_from_id"],
            ["releases.org_id", "releases.id"],
            name=op.f("fk_releases_org_id_copied_from_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint(
            "org_id", "app_environment_id", "number", name=op.f("uq_releases_org_id_app_environment_id_number")
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_releases_org_id_id")),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("app_environment_id", sa.Uuid(), nullable=False),
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("environment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("overlap_policy", sa.Text(), nullable=False),
        sa.Column("config_revision_id", sa.Uuid(), nullable=True),
        sa.Column("release_id", sa.Uuid(), nullable=True),
        sa.Column("previous_release_id", sa.Uuid(), nullable=True),
        sa.Column("phase", sa.Text(), server_default="queued", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("restored_release_id", sa.Uuid(), nullable=True),
        sa.Column("phases", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("progress", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_by", sa.Text(), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("(phase = 'done') = (outcome is not null)", name=op.f("ck_deployments_done_has_outcome")),
        sa.CheckConstraint(
            "outcome in ('live', 'failed', 'canceled', 'superseded', 'skipped')", name=op.f("ck_deployments_outcome")
        ),
        sa.CheckConstraint(
            "phase in ('queued', 'waiting', 'preparing', 'building', 'releasing', 'rolling_out', 'verifying', 'done')",
            name=op.f("ck_deployments_phase"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "app_environment_id"],
            ["app_environments.org_id", "app_environments.id"],
            name=op.f("fk_deployments_org_id_app_environment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "app_id"], ["apps.org_id", "apps.id"], name=op.f("fk_deployments_org_id_app_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "config_revision_id"],
            ["config_revisions.org_id", "config_revisions.id"],
            name=op.f("fk_deployments_org_id_config_revision_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "environment_id"],
            ["environments.org_id", "environments.id"],
            name=op.f("fk_deployments_org_id_environment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "previous_release_id"],
            ["releases.org_id", "releases.id"],
            name=op.f("fk_deployments_org_id_previous_release_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "release_id"], ["releases.org_id", "releases.id"], name=op.f("fk_deployments_org_id_release_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "restored_release_id"],
            ["releases.org_id", "releases.id"],
            name=op.f("fk_deployments_org_id_restored_release_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sa.UniqueConstraint(
            "org_id", "app_environment_id", "number", name=op.f("uq_deployments_org_id_app_environment_id_number")
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_deployments_org_id_id")),
    )
    op.create_index(
        "ix_deployments_open",
        "deployments",
        ["phase", "updated_at"],
        unique=False,
        postgresql_where=sa.text("outcome is null"),
    )
    op.create_index(op.f("ix_deployments_org_id_app_id"), "deployments", ["org_id", "app_id"], unique=False)
    op.create_index(
        op.f("ix_deployments_org_id_environment_id"), "deployments", ["org_id", "environment_id"], unique=False
    )
    op.create_index(
        "ix_deployments_queue",
        "deployments",
        ["org_id", "app_environment_id", "number"],
        unique=False,
        postgresql_where=sa.text("outcome is null"),
    )


def downgrade() -> None:

    op.drop_index("ix_deployments_queue", table_name="deployments", postgresql_where=sa.text("outcome is null"))
    op.drop_index(op.f("ix_deployments_org_id_environment_id"), table_name="deployments")
    op.drop_index(op.f("ix_deployments_org_id_app_id"), table_name="deployments")
    op.drop_index("ix_deployments_open", table_name="deployments", postgresql_where=sa.text("outcome is null"))
    op.drop_table("deployments")
    op.drop_table("releases")
    op.drop_index(op.f("ix_secret_versions_org_id_value_key_version"), table_name="secret_versions")
    op.drop_table("secret_versions")
    op.drop_table("config_revisions")
    op.drop_index(op.f("ix_refresh_tokens_user_id_session_id"), table_name="refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_session_id_parent_id"), table_name="refresh_tokens")
    op.drop_table("refresh_tokens")
    op.drop_index(op.f("ix_app_environments_org_id_project_id"), table_name="app_environments")
    op.drop_index(op.f("ix_app_environments_org_id_environment_id"), table_name="app_environments")
    op.drop_table("app_environments")
    op.drop_table("api_tokens")
    op.drop_table("user_holder_keys")
    op.drop_index(op.f("ix_sessions_user_id_id"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index("ix_memberships_user_id", table_name="memberships")
    op.drop_table("memberships")
    op.drop_table("event_heads")
    op.drop_table("environments")
    op.drop_table("apps")
    op.drop_table("users")
    op.drop_table("rate_limits")
    op.drop_table("projects")
    op.drop_table("organizations")
    op.drop_table("master_key_checks")
    op.drop_table("key_rotations")
    op.drop_table("idempotency_keys")
    op.drop_table("holder_keys")
    op.drop_table("events")

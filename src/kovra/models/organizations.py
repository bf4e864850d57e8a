"""Organizations and memberships."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint, Uuid

from kovra.models.metadata import created, identity, metadata, moment, text, updated

organizations = Table(
    "organizations",
    metadata,
    identity(),
    text("name"),
    text("slug"),
    text("plan", default="free"),
    created(),
    updated(),
    moment("deleted_at"),
    UniqueConstraint("slug"),
    CheckConstraint("plan in ('free', 'team', 'business', 'enterprise')", name="plan"),
)

memberships = Table(
    "memberships",
    metadata,
    identity(),
    Column("org_id", Uuid, ForeignKey("organizations.id"), nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    text("role"),
    created(),
    updated(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "user_id"),
    Index("ix_memberships_user_id", "user_id", "org_id"),
    CheckConstraint("role in ('owner', 'admin', 'member', 'viewer')", name="role"),
)

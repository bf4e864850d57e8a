"""Who calls and what they may do: the vocabulary of access, free of HTTP and of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from kovra.foundation.errors import Forbidden


class Role(StrEnum):
    """A membership's rank; each holds everything the next one holds."""

    owner = "owner"
    admin = "admin"
    member = "member"
    viewer = "viewer"


class Permission(StrEnum):
    """One right, written ``<plural>:<verb>`` on the wire."""

    organizations_read = "organizations:read"
    organizations_update = "organizations:update"
    organizations_delete = "organizations:delete"
    members_read = "members:read"
    members_manage = "members:manage"
    members_manage_owners = "members:manage_owners"
    tokens_read = "tokens:read"
    tokens_manage = "tokens:manage"
    keys_read = "keys:read"
    keys_rotate = "keys:rotate"
    projects_read = "projects:read"
    projects_create = "projects:create"
    projects_update = "projects:update"
    projects_delete = "projects:delete"
    environments_read = "environments:read"
    environments_create = "environments:create"
    environments_update = "environments:update"
    environments_delete = "environments:delete"
    environments_use_protected = "environments:use_protected"
    apps_read = "apps:read"
    apps_create = "apps:create"
    apps_update = "apps:update"
    apps_delete = "apps:delete"
    config_read = "config:read"
    config_write = "config:write"
    secrets_read = "secrets:read"
    secrets_write = "secrets:write"
    deployments_read = "deployments:read"
    deployments_create = "deployments:create"
    runs_read = "runs:read"
    runs_create = "runs:create"
    logs_read = "logs:read"
    shells_open = "shells:open"
    events_read = "events:read"
    registries_read = "registries:read"
    registries_manage = "registries:manage"
    clusters_read = "clusters:read"
    clusters_manage = "clusters:manage"
    clusters_accept_risk = "clusters:accept_risk"
    webhooks_manage = "webhooks:manage"
    billing_manage = "billing:manage"

    @property
    def within_a_project(self) -> bool:
        """Whether it is about what lies in projects, so that narrowing to one changes what it reaches."""
        return self.value.partition(":")[0] in _PLACED


_PLACED: Final = frozenset(
    {"projects", "environments", "apps", "config", "secrets", "deployments", "runs", "logs", "events"}
)
RoleTable = Mapping[Role, frozenset[Permission]]
"""Which role holds which permissions; the table itself belongs to the organizations feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A verified credential: proven to be ours and unexpired, not yet proven to be still alive."""

    kind: Literal["session", "token"]
    org_id: UUID
    """The one organization it opens; the nil uuid for a person who has none."""
    user_id: UUID
    """The nil uuid for an api token."""
    session_id: UUID
    """The nil uuid for an api token."""
    token_hash: bytes = b""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the entering function found: the actor, its permissions here, and how far it is narrowed."""

    actor: str
    """``user:<uuid>``, ``token:<uuid>`` or ``system``."""
    role: Role | None
    permissions: frozenset[Permission]
    project_id: UUID | None = None
    app_id: UUID | None = None
    environment_id: UUID | None = None
    """None: not narrowed in this respect."""

    def may(self, permission: Permission) -> bool:
        """Whether the actor holds this permission here."""
        return permission in self.permissions

    def require(self, permission: Permission, *, granted_by: str = "admin") -> None:
        """Raise the explained 403 when the permission is missing."""
        if permission not in self.permissions:
            raise missing_permission(permission, self.role, granted_by=granted_by)


def granted_by(permission: Permission, roles: RoleTable) -> str:
    """Who can grant it: an admin grants every role up to their own, so only what owners alone hold needs an owner."""
    return Role.admin if permission in roles.get(Role.admin, ()) else Role.owner


def missing_permission(permission: Permission, role: str | None, *, granted_by: str = "admin") -> Forbidden:
    """The 403 that says which permission is missing and who can grant it."""
    return Forbidden(
        f"This needs the permission {permission.value}.",
        hint=f"Ask an {granted_by} of the organization for a role or a token that includes it.",
        facts={"missing_permission": permission.value, "role": role, "granted_by": granted_by},
    )

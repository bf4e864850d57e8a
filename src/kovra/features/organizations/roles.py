"""Role → permissions, as one table. The wiring hands it to the database and the guard."""

from __future__ import annotations

from typing import Final

from kovra.foundation.access import Permission as P  # noqa: N817  # a table reads better with a short name
from kovra.foundation.access import Role, RoleTable

_VIEWER: Final = frozenset(
    {
        P.organizations_read, P.members_read, P.projects_read, P.environments_read, P.apps_read, P.secrets_read,
        P.deployments_read, P.runs_read, P.events_read, P.keys_read,
        P.registries_read, P.clusters_read,
    }
)  # fmt: skip
_MEMBER: Final = _VIEWER | {
    P.config_read, P.config_write, P.secrets_write, P.logs_read, P.shells_open, P.projects_create, P.projects_update,
    P.environments_create, P.environments_update, P.apps_create, P.apps_update, P.deployments_create,
    P.runs_create,
}  # fmt: skip
_ADMIN: Final = _MEMBER | {
    P.environments_use_protected, P.projects_delete, P.environments_delete, P.apps_delete, P.members_manage,
    P.tokens_read, P.tokens_manage, P.organizations_update, P.clusters_manage, P.webhooks_manage, P.keys_rotate,
    P.registries_manage,
}  # fmt: skip
_OWNER: Final = _ADMIN | {P.billing_manage, P.members_manage_owners, P.organizations_delete, P.clusters_accept_risk}

ROLES: Final[RoleTable] = {
    Role.owner: frozenset(_OWNER),
    Role.admin: frozenset(_ADMIN),
    Role.member: frozenset(_MEMBER),
    Role.viewer: frozenset(_VIEWER),
}
RANK: Final = {Role.owner: 3, Role.admin: 2, Role.member: 1, Role.viewer: 0}

"""The parents that answers embed: read together, one statement for each kind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from kovra.features.projects.queries import lists
from kovra.features.projects.queries.rows import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.foundation.access import Permission
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import Statement

_READ: Final[dict[str, tuple[Permission, Statement[Any]]]] = {
    "project": (Permission.projects_read, lists.PROJECTS_BY_ID),
    "environment": (Permission.environments_read, lists.ENVIRONMENTS_BY_ID),
    "app": (Permission.apps_read, lists.APPS_BY_ID),
    "app_environment": (Permission.apps_read, lists.APP_ENVIRONMENTS_BY_ID),
}


@dataclass(frozen=True, slots=True)
class Parents:
    """Rows by id, of the kinds that were asked for."""

    projects: dict[UUID, ProjectRow] = field(default_factory=dict)
    environments: dict[UUID, EnvironmentRow] = field(default_factory=dict)
    apps: dict[UUID, AppRow] = field(default_factory=dict)
    app_environments: dict[UUID, AppEnvironmentRow] = field(default_factory=dict)


NONE: Final = Parents()


async def parents_of(session: TenantSession, kinds: Collection[str], rows: Sequence[Any]) -> Parents:
    """The parents of these rows, by the rows' ``<kind>_id``; the caller needs the right to read each kind."""
    if not kinds or not rows:
        return NONE
    access = await session.access()
    found: dict[str, dict[UUID, Any]] = {}
    for kind in sorted(kinds):
        permission, by_id = _READ[kind]
        access.require(permission)
        ids = list({getattr(row, f"{kind}_id") for row in rows})
        found[f"{kind}s"] = {row.id: row for row in await session.all(by_id, org_id=session.org_id, ids=ids)}
    return Parents(**found)

"""What a watcher of a place is shown first: its app environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from kovra.features.projects.queries.lists import APP_ENVIRONMENTS_OF_PLACE
from kovra.features.projects.schemas.app_environments import AppEnvironmentOut
from kovra.foundation.db.session import TenantSession
from kovra.foundation.registry import Registry
from kovra.foundation.web.addresses import AppAddresses


async def snapshot(
    session: TenantSession, registry: Registry, place: Mapping[str, UUID | None]
) -> dict[str, list[Any]]:
    """``{"app_environments": […]}`` of a place, as the list shows them: the newest 200; of more a client reads the list."""
    rows = await session.all(
        APP_ENVIRONMENTS_OF_PLACE, org_id=session.org_id, project_id=place["project_id"], app_id=place["app_id"],
        environment_id=place["environment_id"],
    )  # fmt: skip
    addresses = registry.get(AppAddresses)
    return {"app_environments": [AppEnvironmentOut.of(row, addresses) for row in rows]}

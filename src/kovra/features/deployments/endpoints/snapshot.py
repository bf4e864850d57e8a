"""What a watcher of a place is shown first: the deployments that are under way, or the one it watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from kovra.features.deployments import queries
from kovra.features.deployments.endpoints.shapes import deployment_out
from kovra.foundation.db.session import TenantSession
from kovra.foundation.registry import Registry


async def snapshot(
    session: TenantSession, registry: Registry, place: Mapping[str, UUID | None]
) -> dict[str, list[Any]]:
    """``{"deployments": […]}`` of a place, as their GET shows them."""
    one = place["deployment_id"]
    if one is not None:
        rows = [await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=one)]
    else:
        rows = await session.all(
            queries.OPEN_UNDER, org_id=session.org_id, project_id=place["project_id"], app_id=place["app_id"],
            environment_id=place["environment_id"],
        )  # fmt: skip
    return {"deployments": [deployment_out(row) for row in rows]}

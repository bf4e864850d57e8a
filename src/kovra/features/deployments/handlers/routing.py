"""The way to an app: the route at once, whatever is under way; its instances by a deployment like every other."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.errors import ClusterNotFound
from kovra.features.deployments import queries
from kovra.features.deployments.compose import Placing, canary_in
from kovra.features.deployments.messages import ReapplyRelease
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import ROUTES, apply_all, denied_later, prune, refs_of, routes_to
from kovra.features.deployments.service.start import Wish, start
from kovra.features.deployments.states import Phase, Source
from kovra.features.projects import queries as project_queries
from kovra.features.projects.messages import RouteAppEnvironment
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import enqueue

_AGAIN_S: Final = 2.0


async def route(context: JobContext, job: RouteAppEnvironment) -> None:
    """Put there or take away what leads to the app; then see that its instances are what is wanted."""
    async with context.session() as session:
        row = await _alive(session, job.id)
        if row is None:
            return
        documents = await _routes(context, session, row)
    if documents is not None:
        with denied_later():
            await _align(context, row, documents)
    if await _is_renewed_later(context, job.id):
        raise Retry(after_s=_AGAIN_S, why="a deployment is under way")


async def _alive(session: TenantSession, app_environment_id: UUID) -> AppEnvironmentRow | None:
    return await session.find(
        project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
    )


async def _routes(context: JobContext, session: TenantSession, row: AppEnvironmentRow) -> list[dict[str, Any]] | None:
    """To what is in the cluster: of a deployment that has begun there, else what serves. None: nothing is there."""
    here = {"org_id": session.org_id, "app_environment_id": row.id}
    release_id, deployment_id, canary = row.current_release_id, row.current_deployment_id, None
    for deployment in await session.all(queries.OPEN_DEPLOYMENTS, **here):
        if deployment.phase in (Phase.rolling_out, Phase.verifying):
            begun = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=deployment.id)
            tried = begun.progress.get("canary")
            canary = canary_in(begun.progress)
            # Until the last of its steps is over, what served before serves.
            release_id = begun.release_id if tried is None or tried["over"] else row.current_release_id
            deployment_id = begun.id
    if release_id is None or deployment_id is None:
        return None
    release = await session.one(queries.RELEASE, org_id=session.org_id, release_id=release_id)
    return await routes_to(session, context.registry.get(Placing), row, release, deployment_id, canary)


async def _align(context: JobContext, row: AppEnvironmentRow, documents: list[dict[str, Any]]) -> None:
    wanted, recorded = refs_of(documents), progress.inventory_of(row)
    before = sorted({*recorded, *wanted})
    async with context.session() as session:
        await progress.replace_inventory(session, row.id, recorded, before)
    try:
        await apply_all(context, documents)
    except ClusterNotFound:  # the cluster has lost the namespace: everything is put there again
        async with context.session() as session:
            enqueue(session, ReapplyRelease(id=row.id))
        return
    after = [ref for ref in before if ref.kind not in ROUTES or ref in wanted]
    await prune(context, before, after)
    async with context.session() as session:
        await progress.replace_inventory(session, row.id, before, after)


async def _is_renewed_later(context: JobContext, app_environment_id: UUID) -> bool:
    """Instances carry who reaches them: a deployment of what serves replaces them. True: when another one has ended."""
    here = {"org_id": context.org_id, "app_environment_id": app_environment_id}
    async with context.session() as session:
        await session.find(project_queries.APP_ENVIRONMENT_FOR_UPDATE, **here)
        row = await _alive(session, app_environment_id)
        if row is None or row.current_release_id is None or not progress.is_reach_behind(row):
            return False
        if await session.all(queries.OPEN_DEPLOYMENTS, **here):
            return True
        await start(session, context.registry.get(HolderKeyStore), row, Wish(source=Source.exposure))
        return False

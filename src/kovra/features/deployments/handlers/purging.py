"""Purging what was deleted once its undo window is over: the namespace, then the rows; the ledger keeps what happened.

Every part may run again: it looks what is still there. Whether the window is over is asked once more under the row's
lock before rows go, as it is by those who restore.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.workload import ObjectRef, Placement
from kovra.adapters.oci.pushing import MirrorRefused, MirrorUnavailable
from kovra.features.clusters.queries import OF_APP_ENVIRONMENT
from kovra.features.clusters.service.fleet import Fleet
from kovra.features.deployments import queries
from kovra.features.deployments.handlers.cluster import take_out
from kovra.features.deployments.handlers.mirroring import forget_copies
from kovra.features.deployments.handlers.volumes import remove_all
from kovra.features.deployments.messages import AppPurged, EnvironmentPurged, ProjectPurged
from kovra.features.deployments.service.acting import denied_later
from kovra.features.deployments.service.mirroring import Images
from kovra.features.projects import queries as project_queries
from kovra.features.projects.messages import PurgeApp, PurgeEnvironment, PurgeProject
from kovra.features.projects.queries import AppRow, EnvironmentRow, ProjectRow
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry
from kovra.foundation.events import record
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.observability import logger


class _Deleted(Protocol):
    @property
    def purge_at(self) -> datetime | None: ...


def _is_due(row: _Deleted | None) -> bool:
    return row is not None and row.purge_at is not None and row.purge_at <= clock.now()


async def _environment(session: TenantSession, environment_id: UUID) -> EnvironmentRow | None:
    return await session.find(
        project_queries.ENVIRONMENT_DELETED_FOR_UPDATE, org_id=session.org_id, environment_id=environment_id
    )


async def _app(session: TenantSession, app_id: UUID) -> AppRow | None:
    return await session.find(project_queries.APP_DELETED_FOR_UPDATE, org_id=session.org_id, app_id=app_id)


async def _project(session: TenantSession, project_id: UUID) -> ProjectRow | None:
    return await session.find(project_queries.PROJECT_DELETED_FOR_UPDATE, org_id=session.org_id, project_id=project_id)


async def purge_environment(context: JobContext, job: PurgeEnvironment) -> None:
    """Remove a deleted environment's namespace, and its rows once the namespace is gone."""
    async with context.session() as session:
        environment = await _environment(session, job.id)
    if environment is None or not _is_due(environment):
        return
    if not await _is_gone(context, environment.project_id, environment):
        return
    async with context.session() as session:
        environment = await _environment(session, job.id)
        if environment is None or not _is_due(environment):
            return
        await _purge_pairs(session, job.id)
        await session.execute(project_queries.REVOKE_TOKENS_OF, org=context.org_id, parent=job.id)
        await session.execute(project_queries.PURGE_ENVIRONMENT, org=context.org_id, environment_id=job.id)
        purged = EnvironmentPurged(subject_id=job.id, slug=environment.slug)
        record(session, purged, scope=environment.scope, origin="worker")


async def purge_app(context: JobContext, job: PurgeApp) -> None:
    """Remove a deleted app's rows, and first what its deletion could not take out of the cluster."""
    async with context.session() as session:
        app = await _app(session, job.id)
        if not _is_due(app):
            return
        pairs = await session.all(project_queries.ANY_APP_ENVIRONMENTS_UNDER, org_id=context.org_id, parent=job.id)
    with denied_later():
        for pair in pairs:
            async with context.registry.get(Fleet).of_row(context, OF_APP_ENVIRONMENT, pair.id) as there:
                await take_out(there, pair.id)
                await remove_all(there, pair.id)
    await _forget_copies(context, [job.id])
    async with context.session() as session:
        app = await _app(session, job.id)
        if app is None or not _is_due(app):
            return
        await _purge_pairs(session, job.id)
        await session.execute(project_queries.REVOKE_TOKENS_OF, org=context.org_id, parent=job.id)
        await session.execute(project_queries.PURGE_APP, org=context.org_id, app_id=job.id)
        record(session, AppPurged(subject_id=job.id, slug=app.slug), scope=app.scope, origin="worker")


async def purge_project(context: JobContext, job: PurgeProject) -> None:
    """Remove a deleted project: its environments' namespaces, and every row once they are gone."""
    async with context.session() as session:
        project = await _project(session, job.id)
        if not _is_due(project):
            return
        environments = await session.all(
            project_queries.ALL_ENVIRONMENTS_OF_PROJECT, org_id=context.org_id, project_id=job.id
        )
        apps = await session.all(project_queries.ALL_APPS_OF_PROJECT, org_id=context.org_id, project_id=job.id)
    # All are asked to go before any is waited for.
    if not all([await _is_gone(context, job.id, environment) for environment in environments]):
        return
    await _forget_copies(context, [app.id for app in apps])
    async with context.session() as session:
        project = await _project(session, job.id)
        if project is None or not _is_due(project):
            return
        await _purge_pairs(session, job.id)
        await session.execute(project_queries.REVOKE_TOKENS_OF, org=context.org_id, parent=job.id)
        await session.execute(project_queries.PURGE_APPS_OF, org=context.org_id, project_id=job.id)
        await session.execute(project_queries.PURGE_ENVIRONMENTS_OF, org=context.org_id, project_id=job.id)
        await session.execute(project_queries.PURGE_PROJECT, org=context.org_id, project_id=job.id)
        record(session, ProjectPurged(subject_id=job.id, slug=project.slug), scope=project.scope, origin="worker")


async def _is_gone(context: JobContext, project_id: UUID, environment: EnvironmentRow) -> bool:
    """Ask the cluster to remove the namespace; False: it is at it, the sweep comes back."""
    placement = Placement(
        organization_id=context.org_id,
        project_id=project_id,
        environment_id=environment.id,
        environment_slug=environment.slug,
        environment_kind=environment.kind,
    )
    ref = ObjectRef(api_version="v1", kind="Namespace", namespace="", name=placement.namespace)
    context.check_time()
    async with context.registry.get(Fleet).at(context, environment.cluster_id) as there:
        client = there.registry.get(ClusterClient)
        with denied_later():
            if not await client.remove(ref) or await client.find(ref) is None:
                return True
    logger.info("namespace_still_there", namespace=placement.namespace)
    return False


async def _forget_copies(context: JobContext, app_ids: list[UUID]) -> None:
    """Remove the apps' copied images. A mirror that is away is asked again; one that lets nobody remove keeps them, which
    is noted.
    """
    mirror = context.registry.get(Images).mirror
    if mirror is None:
        return
    for app_id in app_ids:
        context.check_time()
        try:
            await forget_copies(context, mirror, app_id)
        except MirrorRefused as refused:
            logger.error("mirror_not_emptied", app=str(app_id), code=refused.error_code)
        except MirrorUnavailable as away:
            raise Retry(after_s=away.retry_after_s, why=away.error_code) from None


async def _purge_pairs(session: TenantSession, parent: UUID) -> None:
    """Shred the values and remove the rows of every app environment below."""
    for pair in await session.all(project_queries.ANY_APP_ENVIRONMENTS_UNDER, org_id=session.org_id, parent=parent):
        for statement in (
            queries.PURGE_DEPLOYMENTS,
            queries.PURGE_RELEASES,
            project_queries.PURGE_CONFIG,
            project_queries.PURGE_SECRETS,
            queries.PURGE_APP_ENVIRONMENT,
        ):
            await session.execute(statement, org=session.org_id, aev=pair.id)

"""The care of what runs: retire, revive, re-apply, watch the health, purge."""

from __future__ import annotations

from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.status import observe
from kovra.adapters.cluster.workload import ObjectRef, Placement
from kovra.features.deployments import queries
from kovra.features.deployments.compose import instances_of, placement_of
from kovra.features.deployments.handlers.cluster import put_back
from kovra.features.deployments.messages import (
    AppPurged,
    CheckHealth,
    EnvironmentPurged,
    ProjectPurged,
    ReapplyRelease,
)
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.start import request_cancel
from kovra.features.deployments.verdict import judge
from kovra.features.projects import queries as project_queries
from kovra.features.projects.messages import (
    PurgeApp,
    PurgeEnvironment,
    PurgeProject,
    RetireAppEnvironment,
    ReviveAppEnvironment,
)
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry
from kovra.foundation.events import record
from kovra.foundation.jobs.handling import JobContext


async def _row(session: TenantSession, app_environment_id: UUID) -> AppEnvironmentRow | None:
    return await session.find(
        project_queries.ANY_APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
    )


async def retire(context: JobContext, job: RetireAppEnvironment) -> None:
    """Cancel what is under way and take everything recorded out of the cluster."""
    async with context.session() as session:
        row = await _row(session, job.id)
        alive = await session.find(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
        if row is None or alive is not None:  # restored meanwhile
            return
        open_ones = await session.all(queries.OPEN_DEPLOYMENTS, org_id=context.org_id, app_environment_id=job.id)
        for deployment in open_ones:
            await request_cancel(session, row, deployment.id, by="deleted")
    if open_ones:
        raise Retry(after_s=2, why="deployments are ending")
    await context.registry.get(ClusterClient).prune(progress.inventory_of(row), ())
    async with context.session() as session:
        await progress.set_inventory(session, job.id, ())


async def revive(context: JobContext, job: ReviveAppEnvironment) -> None:
    """Put the last live release back."""
    async with context.session() as session:
        row = await session.find(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
    if row is not None and row.current_release_id is not None and row.current_deployment_id is not None:
        await put_back(context, row.id, row.current_release_id, row.current_deployment_id)


async def reapply(context: JobContext, job: ReapplyRelease) -> None:
    """Put the live release into a cluster that lost it, unless a deployment is about to do so anyway."""
    async with context.session() as session:
        row = await session.find(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
        busy = await session.all(queries.OPEN_DEPLOYMENTS, org_id=context.org_id, app_environment_id=job.id)
    if row is None or row.current_release_id is None or row.current_deployment_id is None or busy:
        return
    await put_back(context, row.id, row.current_release_id, row.current_deployment_id)


async def check_health(context: JobContext, job: CheckHealth) -> None:
    """At the end of the watch window: stable, or degraded."""
    async with context.session() as session:
        row = await session.find(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
        if row is None or row.health != "watching" or row.current_release_id is None:
            return
        if row.watch_until is not None and row.watch_until > clock.now():
            return
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=row.current_release_id)
    client = context.registry.get(ClusterClient)
    status = await observe(client, placement_of(context.org_id, row), row.id)
    verdict = judge(status, release.number, instances_of(row, release.processes), phase="done")
    async with context.session() as session:
        await progress.set_health(session, row, "stable" if verdict.good else "degraded")


async def purge_environment(context: JobContext, job: PurgeEnvironment) -> None:
    """Remove the namespace, then the rows; the ledger keeps what happened."""
    async with context.session() as session:
        environment = await session.find(
            project_queries.ENVIRONMENT_DELETED_FOR_UPDATE, org_id=context.org_id, environment_id=job.id
        )
        if environment is None or environment.purge_at is None or environment.purge_at > clock.now():
            return
    await _remove_namespace(context, environment.project_id, job.id, environment.slug)
    async with context.session() as session:
        await _purge_pairs(session, job.id)
        await session.execute(project_queries.REVOKE_TOKENS_OF, org=context.org_id, parent=job.id)
        await session.execute(project_queries.PURGE_ENVIRONMENT, org=context.org_id, environment_id=job.id)
        record(
            session,
            EnvironmentPurged(subject_id=job.id, slug=environment.slug),
            scope=environment.scope,
            origin="worker",
        )


async def _remove_namespace(context: JobContext, project_id: UUID, environment_id: UUID, slug: str) -> None:
    placement = Placement(
        organization_id=context.org_id,
        project_id=project_id,
        environment_id=environment_id,
        environment_slug=slug,
        environment_kind="",
    )
    ref = ObjectRef(api_version="v1", kind="Namespace", namespace="", name=placement.namespace)
    client = context.registry.get(ClusterClient)
    if await client.delete(ref) and await client.find(ref) is not None:
        raise Retry(after_s=5, why="the namespace is still being deleted")


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


async def purge_app(context: JobContext, job: PurgeApp) -> None:
    """Remove a deleted app's rows; its objects went when it was deleted."""
    async with context.session() as session:
        app = await session.find(project_queries.APP_DELETED_FOR_UPDATE, org_id=context.org_id, app_id=job.id)
        if app is None or app.purge_at is None or app.purge_at > clock.now():
            return
        await _purge_pairs(session, job.id)
        await session.execute(project_queries.REVOKE_TOKENS_OF, org=context.org_id, parent=job.id)
        await session.execute(project_queries.PURGE_APP, org=context.org_id, app_id=job.id)
        record(session, AppPurged(subject_id=job.id, slug=app.slug), scope=app.scope, origin="worker")


async def purge_project(context: JobContext, job: PurgeProject) -> None:
    """Remove a deleted project: its environments' namespaces, and every row."""
    async with context.session() as session:
        project = await session.find(
            project_queries.PROJECT_DELETED_FOR_UPDATE, org_id=context.org_id, project_id=job.id
        )
        if project is None or project.purge_at is None or project.purge_at > clock.now():
            return
        environments = await session.all(
            project_queries.ALL_ENVIRONMENTS_OF_PROJECT, org_id=context.org_id, project_id=job.id
        )
    for environment in environments:
        await _remove_namespace(context, job.id, environment.id, environment.slug)
    async with context.session() as session:
        await _purge_pairs(session, job.id)
        await session.execute(project_queries.REVOKE_TOKENS_OF, org=context.org_id, parent=job.id)
        await session.execute(project_queries.PURGE_APPS_OF, org=context.org_id, project_id=job.id)
        await session.execute(project_queries.PURGE_ENVIRONMENTS_OF, org=context.org_id, project_id=job.id)
        await session.execute(project_queries.PURGE_PROJECT, org=context.org_id, project_id=job.id)
        record(session, ProjectPurged(subject_id=job.id, slug=project.slug), scope=project.scope, origin="worker")

"""The care of what runs: retire, revive, re-apply, watch the health."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.status import observe
from kovra.adapters.cluster.workload import ObjectRef
from kovra.features.deployments import queries
from kovra.features.deployments.compose import Placing, autoscaled, placement_of
from kovra.features.deployments.handlers.cluster import put_back, take_out
from kovra.features.deployments.messages import CheckHealth, ReapplyRelease
from kovra.features.deployments.queries import Open
from kovra.features.deployments.service import progress, rollback
from kovra.features.deployments.service.acting import denied_later
from kovra.features.deployments.service.start import Wish, request_cancel, start
from kovra.features.deployments.states import Source
from kovra.features.deployments.verdict import judge
from kovra.features.projects import queries as project_queries
from kovra.features.projects.messages import RetireAppEnvironment, ReviveAppEnvironment
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry
from kovra.foundation.jobs.handling import JobContext


async def _open(session: TenantSession, app_environment_id: UUID) -> list[Open]:
    return await session.all(queries.OPEN_DEPLOYMENTS, org_id=session.org_id, app_environment_id=app_environment_id)


async def _alive(session: TenantSession, app_environment_id: UUID) -> AppEnvironmentRow | None:
    return await session.find(
        project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
    )


async def retire(context: JobContext, job: RetireAppEnvironment) -> None:
    """Cancel what is under way and take everything recorded out of the cluster."""
    async with context.session() as session:
        row = await session.find(project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
        if row is None or await _alive(session, job.id) is not None:  # restored meanwhile
            return
        open_ones = await _open(session, job.id)
        for deployment in open_ones:
            if deployment.cancel_requested_at is None:
                await request_cancel(session, row, deployment.id, by="deleted")
    if open_ones:
        raise Retry(after_s=1, why="deployments are ending")
    with denied_later():
        await take_out(context, job.id)


async def revive(context: JobContext, job: ReviveAppEnvironment) -> None:
    """Deploy the last live release of what was restored; its verdict is seen like any other's."""
    async with context.session() as session:
        await session.find(project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=context.org_id, app_environment_id=job.id)
        row = await _alive(session, job.id)
        if row is None or row.current_release_id is None or await _open(session, job.id):
            return
        await start(session, context.registry.get(HolderKeyStore), row, Wish(source=Source.restore))


async def reapply(context: JobContext, job: ReapplyRelease) -> None:
    """Make the cluster run what is current, or nothing; unless a deployment is about to do so anyway."""
    async with context.session() as session:
        row = await _alive(session, job.id)
        if row is None or await _open(session, job.id):
            return
    with denied_later():
        if await _is_left_as_it_is(context, row):
            return
        if row.current_release_id is not None and row.current_deployment_id is not None:
            await put_back(context, row.id, row.current_release_id, row.current_deployment_id)
        elif progress.is_unsettled(row):
            await take_out(context, row.id)


async def _is_left_as_it_is(context: JobContext, row: AppEnvironmentRow) -> bool:
    """Objects removed by hand are only told where ``drift_policy`` says so; a cluster that lost the namespace is another
    matter, and so is what a deployment has left behind.
    """
    secrets = [ref for ref in progress.inventory_of(row) if ref.kind == "Secret"]
    if row.drift_policy != "report" or progress.is_unsettled(row) or len(secrets) != 1:
        return False
    name = placement_of(context.org_id, row).namespace
    ref = ObjectRef(api_version="v1", kind="Namespace", namespace="", name=name)
    return await context.registry.get(ClusterClient).find(ref) is not None


async def check_health(context: JobContext, job: CheckHealth) -> None:
    """In the watch window: degraded as soon as it is seen to be; stable when the window ends well. What is only incomplete
    at its end, as while a node is drained, is looked at again for as long as a rollout may make no progress.
    """
    async with context.session() as session:
        row = await _alive(session, job.id)
        if row is None or row.health != "watching" or row.current_release_id is None or await _open(session, job.id):
            return
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=row.current_release_id)
    client = context.registry.get(ClusterClient)
    with denied_later():
        status = await observe(client, placement_of(context.org_id, row), row.id)
    wanted, scaled = progress.instances_seen(row, release.processes), autoscaled(release.processes)
    verdict = judge(status, release.number, wanted, phase="done", autoscaled=scaled, rolling=False)
    if verdict.reason is None and not _is_over(context, row, good=verdict.good):
        return
    await _record_health(context, row, "stable" if verdict.good else "degraded")


def _is_over(context: JobContext, row: AppEnvironmentRow, *, good: bool) -> bool:
    patience = timedelta(seconds=0 if good else context.registry.get(Placing).progress_deadline_s)
    return row.watch_until is None or row.watch_until + patience <= clock.now()


async def _record_health(context: JobContext, seen: AppEnvironmentRow, health: str) -> None:
    async with context.session() as session:
        row = await session.find(
            project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=context.org_id, app_environment_id=seen.id
        )
        if row is None or row.health != "watching" or row.current_deployment_id != seen.current_deployment_id:
            return
        await progress.set_health(session, row, health)
        if health == "degraded" and row.auto_rollback and not await _open(session, row.id):
            await rollback.roll_back_automatically(session, context.registry.get(HolderKeyStore), row)

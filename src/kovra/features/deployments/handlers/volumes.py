"""Removing volumes for good."""

from __future__ import annotations

from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.features.deployments.compose import placement_of
from kovra.features.deployments.messages import RemoveVolume, VolumeRemoved
from kovra.features.deployments.queries.volumes import FORGET, VOLUME, VOLUMES_OF
from kovra.features.deployments.service.acting import denied_later
from kovra.features.deployments.service.volumes import claim_of
from kovra.features.projects import queries as project_queries
from kovra.foundation.events import record
from kovra.foundation.ids import encode
from kovra.foundation.jobs.handling import JobContext


async def remove_volume(context: JobContext, job: RemoveVolume) -> None:
    """Remove the claim, and then the row; unless a deployment has taken the volume back meanwhile."""
    async with context.session() as session:
        volume = await session.find(VOLUME, org_id=context.org_id, volume_id=job.id)
        if volume is None or volume.removal_asked_at is None:
            return
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=volume.app_environment_id
        )
    context.check_time()
    with denied_later():
        await context.registry.get(ClusterClient).remove(claim_of(placement_of(context.org_id, row), volume))
    async with context.session() as session:
        if await session.execute(FORGET, org=context.org_id, volume_id=job.id):
            removed = VolumeRemoved(
                subject_id=job.id,
                app_environment_id=encode("aev", row.id),
                process=volume.process,
                name=volume.name,
            )
            record(session, removed, scope=row.scope, origin="worker")


async def remove_all(context: JobContext, app_environment_id: UUID) -> None:
    """Remove every claim of an app environment that is purged; the rows go with its own."""
    async with context.session() as session:
        row = await session.find(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=app_environment_id
        )
        known = await session.all(VOLUMES_OF, org_id=context.org_id, app_environment_id=app_environment_id)
    for volume in known if row is not None else []:
        context.check_time()
        assert row is not None
        await context.registry.get(ClusterClient).remove(claim_of(placement_of(context.org_id, row), volume))

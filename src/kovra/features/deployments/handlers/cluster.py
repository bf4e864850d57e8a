"""What both kinds of handlers do with the cluster: put a release back, and take one out."""

from __future__ import annotations

from uuid import UUID

from kovra.adapters.cluster.manifests import workload_manifests
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import apply_all, opened_to_run, prune, refs_of, wall_in, workload_of
from kovra.features.projects import queries as project_queries
from kovra.foundation.jobs.handling import JobContext


async def put_back(context: JobContext, app_environment_id: UUID, release_id: UUID, deployment_id: UUID) -> None:
    """Make the cluster run this release again: everything of it, and nothing that was recorded besides it."""
    opened = await opened_to_run(context, app_environment_id, release_id, for_deployment=deployment_id)
    async with context.session() as session:
        instances = progress.instances_seen(opened.row, opened.release.processes)
        workload = workload_of(
            context,
            opened,
            deployment_id=deployment_id,
            instances=instances,
            restarted_at=opened.row.seen.get("restarted_at"),
        )
        documents = workload_manifests(workload)
        wanted = refs_of(documents)
        await progress.add_to_inventory(session, opened.row, wanted)
    await wall_in(context, opened)
    await apply_all(context, documents, progress.inventory_of(opened.row))
    recorded = [*progress.inventory_of(opened.row), *wanted]
    await prune(context, recorded, wanted)
    async with context.session() as session:
        await progress.replace_inventory(session, app_environment_id, recorded, wanted)
        await progress.settled(session, opened.row, instances)


async def take_out(context: JobContext, app_environment_id: UUID) -> None:
    """Remove everything recorded of an app environment from the cluster."""
    async with context.session() as session:
        row = await session.find(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=app_environment_id
        )
    if row is None or not row.inventory:
        return
    recorded = progress.inventory_of(row)
    await prune(context, recorded, ())
    async with context.session() as session:
        await progress.replace_inventory(session, app_environment_id, recorded, ())
        # Whoever brings it back starts from nothing.
        await progress.unsettled(session, row)

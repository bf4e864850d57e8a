"""Renewing the passwords by which nodes pull images, before they end; nothing that runs is touched."""

from __future__ import annotations

from kovra.adapters.cluster.manifests.workload import pull_secrets
from kovra.features.deployments import queries
from kovra.features.deployments.messages import RenewPull
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import apply_all, denied_later, opened_to_run, refs_of, workload_of
from kovra.features.projects import queries as project_queries
from kovra.features.registries import queries as registry_queries
from kovra.features.registries.messages import RenewPulls
from kovra.features.registries.service import RENEWED_AFTER
from kovra.foundation import clock
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import enqueue


async def renew_all(context: JobContext, job: RenewPulls) -> None:
    """Ask for the Secret of every app environment that runs an image of the registry."""
    async with context.session() as session:
        row = await session.find(registry_queries.CREDENTIAL_FOR_UPDATE, org_id=context.org_id, credential_id=job.id)
        if row is None or row.kind != "ecr":
            return
        running = await session.all(queries.RUNNING_FROM, org_id=context.org_id, below=f"{row.registry}/")
        for found in running:
            enqueue(session, RenewPull(id=found.id))
        await session.execute(
            registry_queries.RENEWED, org=context.org_id, this=row.id, again_at=clock.now() + RENEWED_AFTER
        )


async def renew(context: JobContext, job: RenewPull) -> None:
    """Write the Secret with a password of now, where it is recorded; a deployment under way writes its own."""
    async with context.session() as session:
        row = await session.find(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=job.id)
    if row is None or row.current_release_id is None or row.current_deployment_id is None:
        return
    with denied_later():
        opened = await opened_to_run(context, row.id, row.current_release_id, for_deployment=row.current_deployment_id)
        if opened.pull is None or not opened.pull.renewed:
            return
        none = dict.fromkeys(opened.release.processes, 0)
        documents = pull_secrets(workload_of(context, opened, deployment_id=row.current_deployment_id, instances=none))
        recorded = progress.inventory_of(opened.row)
        if all(ref in recorded for ref in refs_of(documents)):
            await apply_all(context, documents)

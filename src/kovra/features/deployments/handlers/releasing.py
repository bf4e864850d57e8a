"""Releasing: the release command runs once, as a Job; nothing is rolled out when it fails."""

from __future__ import annotations

from datetime import timedelta

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.manifests import release_job
from kovra.adapters.cluster.status import observe_job
from kovra.features.deployments.compose import Placing, placement_of
from kovra.features.deployments.handlers.steps import POLL_S, StepFailed, release_id_of
from kovra.features.deployments.rules.reasons import reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import apply_all, explained, opened_to_run, refs_of, wall_in, workload_of
from kovra.features.deployments.service.opening import Opened, open_release
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.states import Phase
from kovra.features.deployments.verdict import judge_job
from kovra.features.projects import queries as project_queries
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.jobs.handling import JobContext


async def run_release_command(context: JobContext, step: Step) -> None:
    """Start the command, or look whether it has ended."""
    job = step.deployment.progress.get("release_job")
    if job is None:
        await _start(context, step)
    else:
        await _look(context, step, str(job))


async def _start(context: JobContext, step: Step) -> None:
    """Killed after the Job was made, the next try finds it there."""
    d = step.deployment
    opened = await opened_to_run(context, d.app_environment_id, release_id_of(d), for_deployment=d.id)
    none = dict.fromkeys(opened.release.processes, 0)
    documents = release_job(workload_of(context, opened, deployment_id=d.id, instances=none))
    refs = refs_of(documents)
    job = refs[-1]
    # What only this deployment brings: it is taken away again when the deployment comes to nothing.
    new = [ref.as_dict() for ref in refs if ref not in progress.inventory_of(opened.row)]
    brought = d.progress.get("brought") or new
    # First of all: what binds this worker to its role in the namespace is among the walls, and before that it may not look.
    await wall_in(context, opened)
    status = await observe_job(context.registry.get(ClusterClient), job.namespace, job.name)
    if not status.found:
        async with context.session() as session:
            await progress.add_to_inventory(session, opened.row, refs)
            await progress.remember(session, step, {"brought": brought})
        await apply_all(context, documents)
    facts = {"brought": brought, "release_job": job.name, "waiting_for": "the release command"}
    async with context.session() as session:
        await progress.remember(session, step, facts)
        progress.again(session, d, after_s=POLL_S)


async def _look(context: JobContext, step: Step, job: str) -> None:
    """Values are opened only to mask what a failed command has said: a long one is looked at many times."""
    d, client = step.deployment, context.registry.get(ClusterClient)
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
    namespace = placement_of(context.org_id, row).namespace
    status = await observe_job(client, namespace, job)
    if not status.found:
        raise StepFailed(reason("release_command_failed", d.phase, ["Its Job has disappeared from the cluster."]))
    patience = timedelta(seconds=context.registry.get(Placing).progress_deadline_s)
    verdict = judge_job(status, phase=d.phase, now=clock.now(), patience=patience)
    if verdict.reason is not None:
        opened = await _opened(context, step)
        raise StepFailed(await explained(context, verdict.reason, opened, namespace, verdict.look_at))
    async with context.session() as session:
        if verdict.good:
            await progress.move(session, step, Phase.rolling_out)
        else:
            progress.again(session, d, after_s=POLL_S)


async def _opened(context: JobContext, step: Step) -> Opened:
    d, store = step.deployment, context.registry.get(HolderKeyStore)
    async with context.session() as session:
        return await open_release(session, store, d.app_environment_id, release_id_of(d), for_deployment=d.id)

"""What a run does in the cluster: its Job is made, looked at and stopped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.manifests import run_job, run_objects
from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.status import JobStatus, observe_job
from kovra.adapters.cluster.workload import Placement, Run
from kovra.features.deployments.compose import Placing, placement_of
from kovra.features.deployments.service.acting import apply_all, last_lines, opened_to_run, wall_in, workload_of
from kovra.features.deployments.service.opening import Opened, open_release
from kovra.features.projects import queries as project_queries
from kovra.features.runs.rules.reasons import Reason, reason
from kovra.features.runs.service import progress
from kovra.features.runs.service.progress import Step
from kovra.features.runs.states import RunOutcome, RunPhase
from kovra.features.runs.verdict import Verdict, judge
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.jobs.handling import JobContext

ONCE_MORE: Final = timedelta(minutes=15)
"""A Job that is gone before its command was seen to run is made anew within this time, and never later."""
ENDS_S: Final = 120.0
"""How much longer than its limit a run may take until the cluster has ended it and said so."""


async def start(context: JobContext, step: Step) -> None:
    """Make the Job. Killed after it was made, the next try finds it there."""
    run = step.run
    first = run.progress.get("applied_at")
    if first is not None and datetime.fromisoformat(first) < clock.now() - ONCE_MORE:
        await lost(context, step)
        return
    assert run.release_id is not None
    opened = await opened_to_run(context, run.app_environment_id, run.release_id, for_run=run.id)
    workload = workload_of(context, opened, deployment_id=run.id, instances=dict.fromkeys(opened.release.processes, 0))
    size = context.registry.get(Placing).plans.size_of(run.size)
    documents = run_job(
        workload,
        Run(
            id=run.id,
            command=tuple(run.command),
            cpu_millis=size.cpu_millis,
            memory_mib=size.memory_mib,
            time_limit_s=run.time_limit_s,
            environment=run.env,
        ),
    )
    async with context.session() as session:
        facts = {"applied_at": first or clock.rfc3339(clock.now()), "waiting_for": "the instance to start"}
        await progress.remember(session, step, facts)
    await wall_in(context, opened)
    await apply_all(context, documents)


async def look(context: JobContext, step: Step) -> bool:
    """Write what the Job shows; False when it is not there."""
    run, placement = step.run, await _placement(context, step)
    status = await _seen(context, step, placement)
    if not status.found:
        return False
    patience = timedelta(seconds=context.registry.get(Placing).progress_deadline_s)
    verdict = judge(status, now=clock.now(), patience=patience)
    if verdict.outcome is not None:
        if not (status.succeeded or status.failed):
            # It will never begin, or so it was found: nor is it to begin afterwards.
            context.check_time()
            await context.registry.get(ClusterClient).remove(run_objects(placement, run.id)[0])
        await _ended(context, step, placement, verdict, verdict.outcome)
        return True
    async with context.session() as session:
        if verdict.began and run.phase == RunPhase.starting:
            await progress.began(session, step, ends_in_s=run.time_limit_s + ENDS_S)
        else:
            no_room = verdict.look_at is not None and verdict.look_at.unschedulable is not None
            facts = {"waiting_for": verdict.waiting_for or None, "no_room": no_room}
            await progress.remember(session, step, facts)
    return True


async def _ended(context: JobContext, step: Step, placement: Placement, verdict: Verdict, outcome: RunOutcome) -> None:
    why = verdict.reason
    if why is not None:
        # Values are opened only to mask what a command that failed has said.
        mask = (await _opened(context, step)).mask
        lines = await last_lines(context, placement.namespace, verdict.look_at, mask)
        why = Reason(code=why.code, evidence=(*(mask(line) for line in why.evidence), *lines))
    async with context.session() as session:
        if verdict.began and step.run.phase == RunPhase.starting:
            # It was too quick to be seen running.
            await progress.began(session, step, ends_in_s=step.run.time_limit_s + ENDS_S)
        await progress.finish(session, step, outcome, why=why, exit_code=verdict.exit_code)


async def lost(context: JobContext, step: Step) -> None:
    """The Job of a command that had begun is gone: it is not begun again."""
    async with context.session() as session:
        await progress.finish(session, step, RunOutcome.failed, why=reason("run_lost"))


async def stopped(context: JobContext, step: Step) -> bool:
    """Take the Job away, which ends its pod; True when that has ended. Its end wakes the next step."""
    client, placement = context.registry.get(ClusterClient), await _placement(context, step)
    job, *_ = run_objects(placement, step.run.id)
    context.check_time()
    await client.remove(job)
    label = f"kovra.io/run={bare('run', step.run.id)}"
    pods = (await client.list("v1", "Pod", placement.namespace, labels=label))["items"]
    if not any((pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in pods):
        return True
    async with context.session() as session:
        await progress.remember(session, step, {"waiting_for": "the command to end"})
    return False


async def _placement(context: JobContext, step: Step) -> Placement:
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT,
            org_id=context.org_id,
            app_environment_id=step.run.app_environment_id,
        )
    return placement_of(context.org_id, row)


async def _seen(context: JobContext, step: Step, placement: Placement) -> JobStatus:
    job, *_ = run_objects(placement, step.run.id)
    return await observe_job(context.registry.get(ClusterClient), job.namespace, job.name)


async def _opened(context: JobContext, step: Step) -> Opened:
    run, store = step.run, context.registry.get(HolderKeyStore)
    assert run.release_id is not None
    async with context.session() as session:
        return await open_release(session, store, run.app_environment_id, run.release_id, for_run=run.id)

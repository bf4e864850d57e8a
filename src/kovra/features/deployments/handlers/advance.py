"""The steps of a deployment. Each reads a snapshot, closes it, acts outside, and writes what it saw under its fence."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, assert_never

from kovra.adapters.cluster.errors import ClusterDenied, ClusterRefused, ClusterUnreachable
from kovra.adapters.oci.client import RegistryUnavailable
from kovra.adapters.oci.pushing import MirrorUnavailable
from kovra.features.deployments import queries
from kovra.features.deployments.handlers import canary
from kovra.features.deployments.handlers.ending import end
from kovra.features.deployments.handlers.preparing import prepare
from kovra.features.deployments.handlers.releasing import run_release_command
from kovra.features.deployments.handlers.rollout import roll_out, verify
from kovra.features.deployments.handlers.steps import POLL_S, StepFailed, Steps
from kovra.features.deployments.messages import AdvanceDeployment, CancelDeployment
from kovra.features.deployments.rules.masking import without_inner_names
from kovra.features.deployments.rules.reasons import Reason, reason
from kovra.features.deployments.service import progress, turn
from kovra.features.deployments.service.progress import LeaseLost, Step
from kovra.features.deployments.states import Outcome, Phase
from kovra.features.registries.service import RoleRefused
from kovra.foundation import clock
from kovra.foundation.errors import KovraError, Retry, Unavailable
from kovra.foundation.jobs.handling import JobContext, Overdue
from kovra.foundation.keyring import KeyVersionMissing, SealBroken
from kovra.foundation.observability import logger

Ending = tuple[Outcome, Reason]
_OTHERS: Final = frozenset({ClusterUnreachable.code, RegistryUnavailable.code, MirrorUnavailable.code})
"""Who may be away until the time is over; the reason then names them."""


async def advance(context: JobContext, job: AdvanceDeployment | CancelDeployment) -> None:
    """Do one step, if there is one to do."""
    steps = context.registry.get(Steps)
    if job.id in steps.at_work:
        _come_back(job)
        return
    steps.at_work.add(job.id)
    try:
        step = await _begun(context, job, steps)
        if step is not None:
            await _under_lease(replace(context, until=clock.monotonic() + steps.step_s), step, steps)
    finally:
        steps.at_work.discard(job.id)


def _come_back(job: AdvanceDeployment | CancelDeployment) -> None:
    """The step at work asks for the next one itself; but it may not have read that somebody wants it to stop."""
    if isinstance(job, CancelDeployment):
        raise Retry(after_s=0.5, why="a step is at work")


async def _begun(context: JobContext, job: AdvanceDeployment | CancelDeployment, steps: Steps) -> Step | None:
    async with context.session() as session:
        fence = await progress.take_lease(session, job.id, context.worker, steps.lease)
        deployment = await session.find(queries.DEPLOYMENT, org_id=context.org_id, deployment_id=job.id)
        if deployment is None or deployment.outcome is not None:
            return None
        if fence is not None and deployment.ahead and deployment.cancel_requested_at is None:
            await progress.release_lease(session, job.id, fence)
            return None
    if fence is None:
        _come_back(job)
        # Another worker's, which goes on by itself; unless it has died, and this job was its.
        raise Retry(after_s=steps.lease.total_seconds(), why="another worker holds the lease")
    return Step(deployment=deployment, fence=fence)


async def _under_lease(context: JobContext, step: Step, steps: Steps) -> None:
    try:
        await _guarded(context, step, steps)
    except (LeaseLost, Overdue):
        logger.info("step_taken_over", deployment=str(step.deployment.id))
    finally:
        # A lease that cannot be given back is this worker's own to take again, or runs out.
        async with context.session() as session:
            await progress.release_lease(session, step.deployment.id, step.fence)


async def _guarded(context: JobContext, step: Step, steps: Steps) -> None:
    """What may pass by itself is tried again until the deadline."""
    try:
        async with asyncio.timeout(steps.step_s):
            ending = await _ending_of(context, step, steps)
            if ending is not None:
                await end(context, step, *ending)
    except Unavailable as away:
        await _try_later(context, step, away)
    except TimeoutError:
        await _try_later(context, step, Unavailable("The step took too long."))


async def _try_later(context: JobContext, step: Step, away: Unavailable) -> None:
    async with context.session() as session:
        await progress.remember(session, step, {"waiting_for": away.message, "away": away.error_code})
        progress.again(session, step.deployment, after_s=max(POLL_S, min(away.retry_after_s, 120.0)))


async def _ending_of(context: JobContext, step: Step, steps: Steps) -> Ending | None:
    """Do the step; foreign failures become reasons. None: the deployment goes on, or has ended well."""
    phase = step.deployment.phase
    try:
        called_off = _called_off(step)
        if called_off is None:
            await _step(context, step, steps)
        return called_off
    except StepFailed as failed:
        return Outcome.failed, failed.why
    except RoleRefused as refused:
        return Outcome.failed, reason("registry_role_refused", phase, [refused.message])
    except ClusterRefused as refused:
        return Outcome.failed, reason(refused.kind, phase, [without_inner_names(refused.message)])
    except ClusterDenied as denied:
        logger.error("cluster_denied", deployment=str(step.deployment.id))
        return Outcome.failed, reason("cluster_denied", phase, [denied.message])
    except (SealBroken, KeyVersionMissing) as unreadable:
        return Outcome.failed, reason("value_unreadable", phase, [unreadable.message])


def _called_off(step: Step) -> Ending | None:
    d = step.deployment
    if d.cancel_requested_at is not None:
        if d.cancel_requested_by == "superseded":
            return Outcome.superseded, reason("superseded_by", d.phase)
        if d.cancel_requested_by == "deleted":
            return Outcome.canceled, reason("gone", d.phase)
        return Outcome.canceled, reason("canceled_by", d.phase)
    if d.deadline_at is not None and d.deadline_at <= clock.now():
        waited = str(d.progress.get("waiting_for") or "")
        away = d.progress.get("away")
        code = str(away) if away in _OTHERS else "deadline_exceeded"
        return Outcome.failed, reason(code, d.phase, [f"It waited for: {waited}"] if waited else [])
    return None


async def _step(context: JobContext, step: Step, steps: Steps) -> None:
    phase = Phase(step.deployment.phase)
    match phase:
        case Phase.queued | Phase.waiting:
            async with context.session() as session:
                await turn.leave_queue(session, step, deadline_s=steps.deadline_s)
        case Phase.preparing | Phase.building:
            await prepare(context, step)
        case Phase.releasing:
            await run_release_command(context, step)
        case Phase.rolling_out:
            if await canary.is_over(context, step):
                await roll_out(context, step)
        case Phase.verifying:
            await verify(context, step)
        case Phase.done:
            return
        case _:
            assert_never(phase)


async def give_up(context: JobContext, job: AdvanceDeployment | CancelDeployment) -> None:
    """After the last failed attempt: the deployment ends with a reason, instead of waiting for its deadline."""
    steps = context.registry.get(Steps)
    step = await _begun(context, job, steps)
    if step is not None:
        why = reason("internal", step.deployment.phase)
        try:
            await end(replace(context, until=clock.monotonic() + steps.step_s), step, Outcome.failed, why)
        except KovraError as hindered:
            logger.error("deployment_not_ended", deployment=str(job.id), code=hindered.error_code)
            raise
        finally:
            # An operator's next try need not wait for it to run out.
            async with context.session() as session:
                await progress.release_lease(session, step.deployment.id, step.fence)

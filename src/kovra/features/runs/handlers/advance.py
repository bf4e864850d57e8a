"""The steps of a run. Each reads a snapshot, closes it, acts outside, and writes what it saw under its fence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied, ClusterRefused, ClusterUnreachable
from kovra.adapters.cluster.manifests import run_objects
from kovra.features.deployments.compose import Placing, placement_of
from kovra.features.deployments.rules.masking import without_inner_names
from kovra.features.deployments.service.acting import denied_later
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries as project_queries
from kovra.features.registries.service import RoleRefused
from kovra.features.runs import queries
from kovra.features.runs.handlers.command import look, lost, start, stopped
from kovra.features.runs.messages import AdvanceRun, CancelRun, FireCronJob, TidyRun
from kovra.features.runs.rules.reasons import Reason, reason
from kovra.features.runs.service import progress, schedule
from kovra.features.runs.service.progress import LeaseLost, Step
from kovra.features.runs.states import RunOutcome, RunPhase
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry, Unavailable
from kovra.foundation.ids import new_id
from kovra.foundation.jobs.handling import JobContext, Overdue
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import KeyVersionMissing, SealBroken
from kovra.foundation.observability import logger

START_S: Final = 600.0
"""How long a command may wait for an instance that can run it."""
_AGAIN_S: Final = 1.0
_LONGEST_AWAY_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSteps:
    """How steps of runs are bounded in time."""

    step_s: float = 30.0
    """One step; what is not done then is done by the next."""
    start_s: float = START_S

    @property
    def lease(self) -> timedelta:
        """Longer than a step may take: a lease that runs out means a dead worker."""
        return timedelta(seconds=self.step_s * 7 / 6)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run is to end."""

    outcome: RunOutcome
    why: Reason


async def advance(context: JobContext, job: AdvanceRun | CancelRun) -> None:
    """Do one step, if there is one to do."""
    steps = context.registry.get(RunSteps)
    step = await _begun(context, job, steps)
    if step is None:
        return
    inside = replace(context, until=min(context.until, clock.monotonic() + steps.step_s))
    try:
        async with asyncio.timeout(steps.step_s):
            await _guarded(inside, step)
    except Unavailable as away:
        await _try_later(context, step, away)
    except TimeoutError:
        await _try_later(context, step, Unavailable("The step took too long."))
    except (LeaseLost, Overdue):
        logger.info("run_step_taken_over", run=str(step.run.id))
    finally:
        async with context.session() as session:
            await progress.release_lease(session, step.run.id, step.fence)


async def _begun(context: JobContext, job: AdvanceRun | CancelRun, steps: RunSteps) -> Step | None:
    """The step under its lease. Each has an owner of its own: two of the same worker are two."""
    async with context.session() as session:
        fence = await progress.take_lease(session, job.id, f"{context.worker}-{new_id()}", steps.lease)
        run = await session.find(queries.RUN, org_id=context.org_id, run_id=job.id)
    if run is None or run.outcome is not None:
        return None
    if fence is None:
        raise Retry(after_s=_AGAIN_S, why="another step is at work")
    return Step(run=run, fence=fence)


async def _try_later(context: JobContext, step: Step, away: Unavailable) -> None:
    """What may pass by itself is tried again until the deadline."""
    try:
        async with context.session() as session:
            await progress.remember(session, step, {"waiting_for": away.message, "away": away.error_code})
            at = clock.now() + timedelta(seconds=max(_AGAIN_S, min(away.retry_after_s, _LONGEST_AWAY_S)))
            enqueue(session, AdvanceRun(id=step.run.id), at=at)
    except LeaseLost:
        logger.info("run_step_taken_over", run=str(step.run.id))


async def _guarded(context: JobContext, step: Step) -> None:
    """Foreign failures become reasons."""
    try:
        await _step(context, step)
    except RoleRefused as refused:
        await _fail(context, step, reason("registry_role_refused", [refused.message]))
    except ClusterRefused as refused:
        await _fail(context, step, reason(refused.kind, [without_inner_names(refused.message)]))
    except ClusterDenied as denied:
        logger.error("cluster_denied", run=str(step.run.id))
        await _fail(context, step, reason("cluster_denied", [denied.message]))
    except (SealBroken, KeyVersionMissing) as unreadable:
        await _fail(context, step, reason("value_unreadable", [unreadable.message]))


async def _fail(context: JobContext, step: Step, why: Reason) -> None:
    async with context.session() as session:
        await progress.finish(session, step, RunOutcome.failed, why=why)


async def _step(context: JobContext, step: Step) -> None:
    run, ending = step.run, _called_off(step)
    if run.phase == RunPhase.queued:
        if ending is None:
            await _take_turn(context, step)
        else:
            await _end(context, step, ending)
    elif ending is not None:
        if _is_out_of_reach(step) or await stopped(context, step):
            await _end(context, step, ending)
    elif run.phase == RunPhase.running:
        if not await look(context, step):
            await lost(context, step)
    elif not await look(context, step):
        await start(context, step)


async def _end(context: JobContext, step: Step, ending: Ending) -> None:
    async with context.session() as session:
        await progress.finish(session, step, ending.outcome, why=ending.why)


def _called_off(step: Step) -> Ending | None:
    """Why the run is not to go on."""
    run = step.run
    if run.cancel_requested_at is not None:
        return Ending(RunOutcome.canceled, reason("canceled_by"))
    if run.is_deleted:
        return Ending(RunOutcome.canceled, reason("gone"))
    if run.deadline_at is None or run.deadline_at > clock.now():
        return None
    waited = [f"It waited for: {run.progress['waiting_for']}"] if run.progress.get("waiting_for") else []
    if run.progress.get("away") == ClusterUnreachable.code:
        return Ending(RunOutcome.failed, reason("cluster_unreachable", waited))
    if run.phase == RunPhase.running:
        return Ending(RunOutcome.timed_out, reason("time_limit_exceeded"))
    return Ending(
        RunOutcome.failed, reason("unschedulable" if run.progress.get("no_room") else "never_started", waited)
    )


def _is_out_of_reach(step: Step) -> bool:
    """The cluster is away and has been until the deadline: its own time limit ends what it may still run."""
    run = step.run
    overdue = run.deadline_at is not None and run.deadline_at <= clock.now()
    return overdue and run.progress.get("away") == ClusterUnreachable.code


async def _take_turn(context: JobContext, step: Step) -> None:
    steps = context.registry.get(RunSteps)
    async with context.session() as session:
        at_once = await _at_once(context, session)
        started = await progress.take_turn(session, step, at_once=at_once, within_s=steps.start_s)
        if started:
            # Its own job: this one has the time of one step.
            enqueue(session, AdvanceRun(id=step.run.id))


async def _at_once(context: JobContext, session: TenantSession) -> int:
    plan = (await session.one(organization_queries.ORGANIZATION, org_id=context.org_id)).plan
    placing = context.registry.get(Placing)
    return placing.quota_of(plan).runs


async def give_up(context: JobContext, job: AdvanceRun | CancelRun) -> None:
    """After the last failed attempt: the run ends with a reason, instead of waiting for its deadline."""
    step = await _begun(context, job, context.registry.get(RunSteps))
    if step is not None:
        await _fail(context, step, reason("internal"))


async def tidy(context: JobContext, job: TidyRun) -> None:
    """Remove the Job, and with it the pod, and the Secret of an ended run; its lines were read in the meantime."""
    async with context.session() as session:
        run = await session.find(queries.RUN, org_id=context.org_id, run_id=job.id)
        if run is None or run.outcome is None or run.tidied_at is not None:
            return
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=run.app_environment_id
        )
    try:
        with denied_later():
            for ref in run_objects(placement_of(context.org_id, row), run.id):
                context.check_time()
                await context.registry.get(ClusterClient).remove(ref)
    except Unavailable as away:
        raise Retry(after_s=_LONGEST_AWAY_S, why=away.error_code) from None
    async with context.session() as session:
        await session.execute(queries.TIDIED, org=context.org_id, run_id=run.id)


async def fire(context: JobContext, job: FireCronJob) -> None:
    """Decide about the ticks of a cron job that are due."""
    async with context.session() as session:
        await schedule.fire(session, job.id)

"""Writing what was seen of a run: every write names the step's fence, so a late worker changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from kovra.features.projects import queries as project_queries
from kovra.features.runs import queries
from kovra.features.runs.messages import AdvanceRun, RunFinished, RunStarted
from kovra.features.runs.queries import RunRow
from kovra.features.runs.rules.reasons import Reason
from kovra.features.runs.states import HISTORY, RunOutcome, RunPhase
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict
from kovra.foundation.events import record
from kovra.foundation.ids import encode
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import RUNS


class LeaseLost(Conflict):
    """Another worker has taken the step over, or the run has ended."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step under its lease."""

    run: RunRow
    fence: int


async def take_lease(session: TenantSession, run_id: UUID, owner: str, lasts: timedelta) -> int | None:
    """Take the lease; None when another step holds it or the run has ended."""
    lease = await session.find(
        queries.TAKE_LEASE, org=session.org_id, run_id=run_id, owner=owner, until=clock.now() + lasts
    )
    return lease.fence if lease else None


async def release_lease(session: TenantSession, run_id: UUID, fence: int) -> None:
    """Give the lease back."""
    await session.execute(queries.RELEASE_LEASE, org=session.org_id, run_id=run_id, fence_is=fence)


async def take_turn(session: TenantSession, step: Step, *, at_once: int, within_s: float) -> bool:
    """Leave the queue when fewer than so many came before and are still open; the app environment's lock orders it."""
    run = step.run
    await session.one(
        project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, app_environment_id=run.app_environment_id
    )
    now = await session.one(queries.RUN, org_id=session.org_id, run_id=run.id)
    if now.ahead >= at_once:
        await remember(session, step, {"waiting_for": "its turn"})
        return False
    await _move(
        session, step, RunPhase.starting, deadline_at=clock.now() + timedelta(seconds=within_s), started_at=None
    )
    return True


async def began(session: TenantSession, step: Step, *, ends_in_s: float) -> None:
    """The command was started; from now on it may take so long in all."""
    run, now = step.run, clock.now()
    await _move(session, step, RunPhase.running, deadline_at=now + timedelta(seconds=ends_in_s), started_at=now)
    started = RunStarted(subject_id=run.id, app_environment_id=encode("aev", run.app_environment_id))
    record(session, started, scope=run.scope, origin="worker")


async def _move(
    session: TenantSession, step: Step, phase: RunPhase, *, deadline_at: datetime, started_at: datetime | None
) -> None:
    moved = await session.execute(
        queries.MOVE,
        org=session.org_id,
        run_id=step.run.id,
        fence_is=step.fence,
        phase=phase.value,
        progress={**step.run.progress, "waiting_for": None, "away": None},
        deadline_at=deadline_at,
        started_at=started_at,
    )
    if not moved:
        raise LeaseLost("The step was taken over.")


async def remember(session: TenantSession, step: Step, progress: Mapping[str, Any]) -> None:
    """Keep something for the next step."""
    kept = await session.execute(
        queries.REMEMBER,
        org=session.org_id,
        run_id=step.run.id,
        fence_is=step.fence,
        progress={**step.run.progress, "away": None, **progress},
    )
    if not kept:
        raise LeaseLost("The step was taken over.")


async def finish(
    session: TenantSession, step: Step, outcome: RunOutcome, *, why: Reason | None = None, exit_code: int | None = None
) -> None:
    """Write the final outcome, wake the next run in the queue, and forget the oldest beyond what is kept."""
    run = step.run
    done = await session.execute(
        queries.FINISH,
        org=session.org_id,
        run_id=run.id,
        fence_is=step.fence,
        outcome=outcome.value,
        reason=why.document() if why else None,
        exit_code=exit_code,
        finished_at=clock.now(),
    )
    if not done:
        raise LeaseLost("The step was taken over.")
    finished = RunFinished(
        subject_id=run.id,
        app_environment_id=encode("aev", run.app_environment_id),
        cron_job_id=encode("crn", run.cron_job_id) if run.cron_job_id else None,
        outcome=outcome.value,
        code=why.code if why else None,
        exit_code=exit_code,
    )
    record(session, finished, scope=run.scope, origin="worker")
    RUNS.labels(outcome.value, why.code if why else "none").inc()
    waiting = await session.find(queries.NEXT_QUEUED, org_id=session.org_id, app_environment_id=run.app_environment_id)
    if waiting is not None:
        enqueue(session, AdvanceRun(id=waiting.id))
    await forget_old(session, run.app_environment_id, run.cron_job_id)


async def forget_old(session: TenantSession, app_environment_id: UUID, cron_job_id: UUID | None) -> None:
    """Keep the newest so many of a cron job, or of those that were started by hand."""
    await session.execute(
        queries.FORGET_OLD, org=session.org_id, aev=app_environment_id, cron_job_id=cron_job_id, keep=HISTORY
    )

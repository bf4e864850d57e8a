"""Accepting a run, and the wish to stop one: one row, one event, one job, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from kovra.features.deployments.service.rollback import find_release
from kovra.features.deployments.service.room import foresee_run
from kovra.features.projects import queries as project_queries
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.service import require_use
from kovra.features.runs import queries
from kovra.features.runs.messages import AdvanceRun, CancelRun, RunCancelRequested, RunFinished, RunRequested
from kovra.features.runs.queries import CronJobRow, RunRow
from kovra.features.runs.rules.reasons import Reason
from kovra.features.runs.states import MOST_OPEN, RunOutcome, RunPhase
from kovra.features.secrets.rules import check_names
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, decode, encode, new_id
from kovra.foundation.jobs.messages import enqueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody, or a cron job, wants to be run."""

    command: Sequence[str]
    size: str
    time_limit_s: int
    env: Mapping[str, str] = field(default_factory=dict)
    trigger: str = "api"
    cron_job_id: UUID | None = None
    scheduled_for: datetime | None = None


def wish_of(row: CronJobRow, *, trigger: str, scheduled_for: datetime | None = None) -> Wish:
    """What a cron job wants to be run."""
    return Wish(
        command=row.command,
        size=row.size,
        time_limit_s=row.time_limit_s,
        trigger=trigger,
        cron_job_id=row.id,
        scheduled_for=scheduled_for,
    )


async def place(session: TenantSession, reference: str) -> AppEnvironmentRow:
    """The app environment that a body names, locked, and the caller may change what it runs; raises Invalid."""
    row = await session.find(
        project_queries.ALIVE_APP_ENVIRONMENT_FOR_UPDATE,
        org_id=session.org_id,
        app_environment_id=decode("aev", reference) or NIL,
    )
    if row is None:
        raise Invalid.field("/app_environment", "not_found", "There is no such app environment.")
    await require_use(session, row)
    return row


async def request_run(
    session: TenantSession, row: AppEnvironmentRow, wish: Wish, plans: Plans, *, release: str | int | None = None
) -> RunRow:
    """Accept a run in a locked app environment: of the release given, or of the one that is live."""
    check_names(wish.env, pointer="/env")
    if release is not None:
        release_id = (await find_release(session, row, release)).id
    elif row.current_release_id is not None:
        release_id = row.current_release_id
    else:
        raise Conflict("Nothing is live here yet.", code="nothing_live", hint="Deploy something first.")
    if await is_full(session, row.id):
        raise Conflict(
            f"{MOST_OPEN} runs of this app are under way or waiting.",
            code="too_many_runs",
            hint="Wait until some have ended, or cancel them.",
        )
    if wish.cron_job_id is None:  # a cron job has its room
        await foresee_run(session, plans, row.environment_id, wish.size)
    run_id = await begin(session, row, wish, release_id)
    return await session.one(queries.RUN, org_id=session.org_id, run_id=run_id)


async def is_full(session: TenantSession, app_environment_id: UUID) -> bool:
    """Whether no further run may wait."""
    found = await session.one(queries.OPEN_RUNS, org_id=session.org_id, app_environment_id=app_environment_id)
    return found.n >= MOST_OPEN


async def begin(session: TenantSession, row: AppEnvironmentRow, wish: Wish, release_id: UUID) -> UUID:
    """Write the run, and ask for its first step."""
    run_id = await _add(session, row, wish, release_id, None)
    enqueue(session, AdvanceRun(id=run_id))
    requested = RunRequested(
        subject_id=run_id,
        app_environment_id=encode("aev", row.id),
        release_id=encode("rel", release_id),
        cron_job_id=encode("crn", wish.cron_job_id) if wish.cron_job_id else None,
        scheduled_for=clock.rfc3339(wish.scheduled_for) if wish.scheduled_for else None,
        trigger=wish.trigger,
    )
    record(session, requested, scope=row.scope)
    return run_id


async def skip(session: TenantSession, row: AppEnvironmentRow, wish: Wish, why: Reason) -> None:
    """Write down a tick of a cron job that is not run, and why."""
    run_id = await _add(session, row, wish, row.current_release_id, why)
    finished = RunFinished(
        subject_id=run_id,
        app_environment_id=encode("aev", row.id),
        cron_job_id=encode("crn", wish.cron_job_id) if wish.cron_job_id else None,
        outcome=RunOutcome.skipped,
        code=why.code,
        exit_code=None,
    )
    record(session, finished, scope=row.scope)


async def _add(
    session: TenantSession, row: AppEnvironmentRow, wish: Wish, release_id: UUID | None, skipped: Reason | None
) -> UUID:
    run_id = new_id()
    await session.execute(
        queries.ADD_RUN,
        id=run_id,
        org_id=session.org_id,
        app_environment_id=row.id,
        cron_job_id=wish.cron_job_id,
        scheduled_for=wish.scheduled_for,
        release_id=release_id,
        command=list(wish.command),
        env=dict(wish.env),
        size=wish.size,
        time_limit_s=wish.time_limit_s,
        trigger=wish.trigger,
        phase=RunPhase.done if skipped else RunPhase.queued,
        outcome=RunOutcome.skipped if skipped else None,
        reason=skipped.document() if skipped else None,
        finished_at=clock.now() if skipped else None,
    )
    return run_id


async def request_cancel(session: TenantSession, run: RunRow) -> None:
    """Write the wish to stop; the worker ends the run at its next step. Raises Conflict when it has ended already."""
    row = await session.one(
        project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, app_environment_id=run.app_environment_id
    )
    await require_use(session, row)
    if not await session.execute(queries.REQUEST_CANCEL, org=session.org_id, run_id=run.id):
        raise Conflict("It has ended already.", code="already_finished", facts={"outcome": run.outcome})
    enqueue(session, CancelRun(id=run.id))
    if run.cancel_requested_at is None:
        asked = RunCancelRequested(subject_id=run.id, app_environment_id=encode("aev", row.id))
        record(session, asked, scope=row.scope)

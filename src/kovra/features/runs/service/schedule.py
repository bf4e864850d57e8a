"""Cron jobs: the rules, all writes, and what becomes of a tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from kovra.features.deployments.service.room import foresee_run
from kovra.features.projects import queries as project_queries
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.service import require_use
from kovra.features.runs import queries
from kovra.features.runs.messages import CronJobCreated, CronJobDeleted, CronJobUpdated
from kovra.features.runs.queries import CronJobRow, RunRow
from kovra.features.runs.rules.reasons import Reason, reason
from kovra.features.runs.rules.schedules import MOST_COUNTED, check_schedule, check_zone, due_ticks, next_after
from kovra.features.runs.service.asking import begin, is_full, request_run, skip, wish_of
from kovra.features.runs.service.progress import forget_old
from kovra.features.runs.states import MOST_CRON_JOBS
from kovra.foundation import clock
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, FieldError
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id

DEADLINE: Final = timedelta(minutes=10)
"""How late a tick may still be run; older ones were missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCronJob:
    """What a cron job starts with."""

    name: str
    schedule: str
    time_zone: str
    command: Sequence[str]
    size: str
    time_limit_s: int
    enabled: bool


async def create(session: TenantSession, row: AppEnvironmentRow, wanted: NewCronJob, plans: Plans) -> CronJobRow:
    """Make a cron job in a locked app environment; its first tick lies in the future."""
    if wanted.enabled:
        await foresee_run(session, plans, row.environment_id, wanted.size)
    schedule, zone = check_schedule(wanted.schedule), check_zone(wanted.time_zone)
    found = await session.one(queries.CRON_JOBS_OF, org_id=session.org_id, app_environment_id=row.id)
    if found.n >= MOST_CRON_JOBS:
        raise Conflict(f"An app has at most {MOST_CRON_JOBS} cron jobs here.", code="too_many_cron_jobs")
    cron_job_id = new_id()
    try:
        await session.execute(
            queries.ADD_CRON_JOB,
            id=cron_job_id,
            org_id=session.org_id,
            app_environment_id=row.id,
            name=wanted.name,
            schedule=schedule,
            time_zone=zone,
            command=list(wanted.command),
            size=wanted.size,
            time_limit_s=wanted.time_limit_s,
            enabled=wanted.enabled,
            next_run_at=next_after(schedule, zone, clock.now()) if wanted.enabled else None,
        )
    except Duplicate:
        message = "This app has a cron job of this name here."
        raise Conflict(
            message, code="name_taken", fields=[FieldError(pointer="/name", code="name_taken", message=message)]
        ) from None
    created = CronJobCreated(
        subject_id=cron_job_id,
        app_environment_id=encode("aev", row.id),
        name=wanted.name,
        schedule=schedule,
        time_zone=zone,
    )
    record(session, created, scope=row.scope)
    return await session.one(queries.CRON_JOB, org_id=session.org_id, cron_job_id=cron_job_id)


async def locked(session: TenantSession, cron_job_id: UUID) -> tuple[CronJobRow, AppEnvironmentRow]:
    """A cron job and where it runs, both locked, and the caller may change what runs there; raises NotFound."""
    seen = await session.one(queries.CRON_JOB, org_id=session.org_id, cron_job_id=cron_job_id)
    row = await session.one(
        project_queries.ALIVE_APP_ENVIRONMENT_FOR_UPDATE,
        org_id=session.org_id,
        app_environment_id=seen.app_environment_id,
    )
    await require_use(session, row)
    return await session.one(queries.CRON_JOB_FOR_UPDATE, org_id=session.org_id, cron_job_id=cron_job_id), row


async def update(session: TenantSession, before: CronJobRow, changes: Mapping[str, Any], plans: Plans) -> CronJobRow:
    """Change a locked cron job. What was due under another schedule, or before it was switched on, is not made up for."""
    after = replace(before, **changes)
    after = replace(after, schedule=check_schedule(after.schedule), time_zone=check_zone(after.time_zone))
    changed = sorted(name for name in changes if getattr(before, name) != getattr(after, name))
    if not changed:
        return before
    if after.enabled and not {"enabled", "size"}.isdisjoint(changed):
        instead = before.id if before.enabled else None
        await foresee_run(session, plans, after.environment_id, after.size, instead_of=instead)
    if not {"schedule", "time_zone", "enabled"}.isdisjoint(changed):
        due = next_after(after.schedule, after.time_zone, clock.now()) if after.enabled else None
        after = replace(after, next_run_at=due)
    await session.execute(
        queries.UPDATE_CRON_JOB,
        org=session.org_id,
        cron_job_id=after.id,
        schedule=after.schedule,
        time_zone=after.time_zone,
        command=list(after.command),
        size=after.size,
        time_limit_s=after.time_limit_s,
        enabled=after.enabled,
        next_run_at=after.next_run_at,
    )
    updated = CronJobUpdated(
        subject_id=after.id, app_environment_id=encode("aev", after.app_environment_id), changed=changed
    )
    record(session, updated, scope=after.scope)
    return await session.one(queries.CRON_JOB, org_id=session.org_id, cron_job_id=after.id)


async def delete(session: TenantSession, row: CronJobRow) -> None:
    """Delete a locked cron job; a run that is under way goes on, and the history stays."""
    await session.execute(queries.DELETE_CRON_JOB, org=session.org_id, cron_job_id=row.id)
    deleted = CronJobDeleted(subject_id=row.id, app_environment_id=encode("aev", row.app_environment_id), name=row.name)
    record(session, deleted, scope=row.scope)


async def run_now(
    session: TenantSession, cron_job: CronJobRow, row: AppEnvironmentRow, plans: Plans, trigger: str
) -> RunRow:
    """Start a run of a locked cron job besides its schedule; raises Conflict while one is under way."""
    other = await _open_run(session, cron_job)
    if other is not None:
        raise Conflict(
            "A run of this cron job is under way.", code="run_in_progress", facts={"run_id": encode("run", other)}
        )
    if not cron_job.enabled:  # otherwise it has its room
        await foresee_run(session, plans, row.environment_id, cron_job.size)
    return await request_run(session, row, wish_of(cron_job, trigger=trigger), plans)


async def _open_run(session: TenantSession, row: CronJobRow) -> UUID | None:
    found = await session.find(queries.OPEN_OF_CRON_JOB, org_id=session.org_id, cron_job_id=row.id)
    return found.id if found else None


async def fire(session: TenantSession, cron_job_id: UUID) -> None:
    """Decide about every tick that is due, in the transaction that moves the cron job on to its next one.

    Asked twice, the second time finds nothing: the row is locked, and a tick has one row among the runs.
    """
    seen = await session.find(queries.ANY_CRON_JOB, org_id=session.org_id, cron_job_id=cron_job_id)
    if seen is None:
        return
    row = await session.one(
        project_queries.APP_ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, app_environment_id=seen.app_environment_id
    )
    cron_job = await session.find(queries.CRON_JOB_FOR_UPDATE, org_id=session.org_id, cron_job_id=cron_job_id)
    now = clock.now()
    if cron_job is None or cron_job.next_run_at is None or cron_job.next_run_at > now:
        return
    due, missed = due_ticks(cron_job.schedule, cron_job.time_zone, cron_job.next_run_at, now, DEADLINE)
    alive = await session.find(
        project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=cron_job.app_environment_id
    )
    if alive is not None:
        await _account(session, cron_job, row, due, missed)
    await session.execute(
        queries.TICKED,
        org=session.org_id,
        cron_job_id=cron_job.id,
        next_run_at=next_after(cron_job.schedule, cron_job.time_zone, now),
    )


async def _account(
    session: TenantSession, cron_job: CronJobRow, row: AppEnvironmentRow, due: datetime | None, missed: int
) -> None:
    """One row for the tick that is due, and one for all that were missed, in the place of their first."""
    first = cron_job.next_run_at
    if missed and first is not None and first != due:
        many = f"more than {MOST_COUNTED}" if missed > MOST_COUNTED else str(missed)
        why = reason("missed", [f"Scheduled times missed, this one included: {many}."])
        await skip(session, row, wish_of(cron_job, trigger="schedule", scheduled_for=first), why)
    if due is not None:
        wish = wish_of(cron_job, trigger="schedule", scheduled_for=due)
        hindered = await _hindrance(session, cron_job, row)
        if hindered is not None:
            await skip(session, row, wish, hindered)
        elif row.current_release_id is not None:
            await begin(session, row, wish, row.current_release_id)
    await forget_old(session, row.id, cron_job.id)


async def _hindrance(session: TenantSession, cron_job: CronJobRow, row: AppEnvironmentRow) -> Reason | None:
    """Why a tick is not run."""
    if row.current_release_id is None:
        return reason("nothing_live")
    if row.suspended:
        return reason("suspended")
    other = await _open_run(session, cron_job)
    if other is not None:
        return reason("previous_run_active", [f"Under way: {encode('run', other)}"])
    return reason("too_many_runs") if await is_full(session, row.id) else None

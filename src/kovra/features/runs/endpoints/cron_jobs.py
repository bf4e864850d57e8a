"""Cron jobs over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from kovra.features.runs import queries
from kovra.features.runs.endpoints.runs import PlansInForce, accepted
from kovra.features.runs.endpoints.shapes import cron_job_out
from kovra.features.runs.schemas import CronJobIn, CronJobOut, CronJobPatch, RunNowIn, RunOut
from kovra.features.runs.service import asking, schedule
from kovra.features.runs.service.schedule import NewCronJob
from kovra.foundation.access import Permission, Principal
from kovra.foundation.ids import NIL, decode, encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import Reference, changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, tags=["cron jobs"])


@router.get("/v1/cron-jobs", operation_id="listCronJobs")
async def list_cron_jobs(
    who: Annotated[Principal, requires(Permission.runs_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.CRON_JOBS)],
    app_environment: Annotated[Reference | None, Query(description="App environment id.")] = None,
) -> ListOf[CronJobOut]:
    """Cron jobs, newest first unless `sort` says otherwise."""
    inside = decode("aev", app_environment) or NIL if app_environment else None
    page = await pages.read(session, queries.CRON_JOBS, app_environment_id=inside)
    return pages.answer(session.org_id, page, cron_job_out)


@router.post("/v1/cron-jobs", operation_id="createCronJob", status_code=201)
@refuses(
    "409 name_taken", "409 quota_exceeded", "409 too_many_cron_jobs", "422 schedule_invalid", "422 time_zone_unknown"
)
async def create_cron_job(
    body: CronJobIn,
    who: Annotated[Principal, requires(Permission.runs_create)],
    session: Session,
    plans: PlansInForce,
    etags: ETags,
    response: Response,
) -> CronJobOut:
    """Run a command again and again, at the times of a schedule."""
    place = await asking.place(session, body.app_environment)
    wanted = NewCronJob(
        name=body.name, schedule=body.schedule, time_zone=body.time_zone, command=body.command, size=body.size,
        time_limit_s=body.time_limit_s, enabled=body.enabled,
    )  # fmt: skip
    row = await schedule.create(session, place, wanted, plans)
    etags.answer(version_of(row.updated_at))
    response.headers["Location"] = f"/v1/cron-jobs/{encode('crn', row.id)}"
    return cron_job_out(row)


@router.get("/v1/cron-jobs/{cron_job_id}", operation_id="getCronJob")
async def get_cron_job(
    cron_job_id: str,
    who: Annotated[Principal, requires(Permission.runs_read)],
    session: Session,
    etags: ETags,
) -> CronJobOut:
    """One cron job, with its next times; its history are the runs with `?cron_job=`."""
    found = path_id("crn", cron_job_id)
    row = await session.one(queries.CRON_JOB, org_id=session.org_id, cron_job_id=found)
    shown = cron_job_out(row)
    etags.answer(version_of(row.updated_at), shown)
    return shown


@router.patch("/v1/cron-jobs/{cron_job_id}", operation_id="updateCronJob")
@refuses("409 quota_exceeded", "422 schedule_invalid", "422 time_zone_unknown")
async def update_cron_job(
    body: CronJobPatch,
    cron_job_id: str,
    who: Annotated[Principal, requires(Permission.runs_create)],
    session: Session,
    plans: PlansInForce,
    etags: ETags,
) -> CronJobOut:
    """Change a cron job; what was due under another schedule is not made up for."""
    row, _ = await schedule.locked(session, path_id("crn", cron_job_id))
    etags.check(version_of(row.updated_at))
    after = await schedule.update(session, row, changes_of(body), plans)
    etags.answer(version_of(after.updated_at))
    return cron_job_out(after)


@router.delete("/v1/cron-jobs/{cron_job_id}", operation_id="deleteCronJob", status_code=204)
async def delete_cron_job(
    cron_job_id: str,
    who: Annotated[Principal, requires(Permission.runs_create)],
    session: Session,
    etags: ETags,
) -> None:
    """Delete a cron job; a run that is under way goes on, and its history stays."""
    row, _ = await schedule.locked(session, path_id("crn", cron_job_id))
    etags.check(version_of(row.updated_at))
    await schedule.delete(session, row)


@router.post("/v1/cron-jobs/{cron_job_id}/actions/run-now", operation_id="runCronJobNow", status_code=202)
@refuses("409 nothing_live", "409 quota_exceeded", "409 run_in_progress", "409 too_many_runs")
async def run_cron_job_now(
    cron_job_id: str,
    who: Annotated[Principal, requires(Permission.runs_create)],
    session: Session,
    plans: PlansInForce,
    response: Response,
    body: RunNowIn | None = None,
) -> RunOut:
    """Start a run of a cron job at once, besides its schedule."""
    row, place = await schedule.locked(session, path_id("crn", cron_job_id))
    run = await schedule.run_now(session, row, place, plans, (body or RunNowIn()).trigger)
    return accepted(run, response)

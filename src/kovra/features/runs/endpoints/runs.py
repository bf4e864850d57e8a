"""Start, list, wait for and cancel runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from kovra.features.projects.plans import Plans
from kovra.features.runs import queries
from kovra.features.runs.endpoints.shapes import run_out, run_tag
from kovra.features.runs.queries import RunRow
from kovra.features.runs.schemas import RunIn, RunOut
from kovra.features.runs.service import asking
from kovra.features.runs.service.asking import Wish
from kovra.features.runs.states import RunOutcome, RunPhase
from kovra.foundation import clock
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.notices import Notices
from kovra.foundation.ids import NIL, decode, encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags
from kovra.foundation.web.fields import Reference, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, SessionFactory, Sessions, wired

router = APIRouter(route_class=KovraRoute, tags=["runs"])
PlansInForce = Annotated[Plans, wired(Plans)]


def accepted(row: RunRow, response: Response) -> RunOut:
    """202: where to look, and its place in the queue."""
    response.headers["Location"] = f"/v1/runs/{encode('run', row.id)}"
    return run_out(row)


@router.post("/v1/runs", operation_id="createRun", status_code=202)
@refuses("409 nothing_live", "409 quota_exceeded", "409 too_many_runs")
async def create_run(
    body: RunIn,
    who: Annotated[Principal, requires(Permission.runs_create)],
    session: Session,
    plans: PlansInForce,
    response: Response,
) -> RunOut:
    """Run a command once from a release's image, with its config and secrets. Wait with `GET …?wait=30`."""
    row = await asking.place(session, body.app_environment)
    wish = Wish(
        command=body.command, size=body.size, time_limit_s=body.time_limit_s, env=body.env, trigger=body.trigger
    )
    return accepted(await asking.request_run(session, row, wish, plans, release=body.release), response)


@router.get("/v1/runs", operation_id="listRuns")
async def list_runs(
    who: Annotated[Principal, requires(Permission.runs_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.RUNS)],
    app_environment: Annotated[Reference | None, Query(description="App environment id.")] = None,
    cron_job: Annotated[Reference | None, Query(description="Cron job id: its history.")] = None,
    phase: Annotated[RunPhase | None, Query(description="Only those in this phase.")] = None,
    outcome: Annotated[RunOutcome | None, Query(description="Only those that ended so.")] = None,
) -> ListOf[RunOut]:
    """Runs, newest first unless `sort` says otherwise; of a cron job also the times that were skipped, and why."""
    page = await pages.read(
        session,
        queries.RUNS,
        app_environment_id=_id("aev", app_environment),
        cron_job_id=_id("crn", cron_job),
        phase=phase,
        outcome=outcome,
    )
    return pages.answer(session.org_id, page, run_out)


def _id(prefix: str, reference: str | None) -> UUID | None:
    return None if reference is None else decode(prefix, reference) or NIL


async def _read(sessions: SessionFactory, run_id: UUID) -> RunRow:
    async with sessions() as session:
        return await session.one(queries.RUN, org_id=session.org_id, run_id=run_id)


@router.get("/v1/runs/{run_id}", operation_id="getRun")
async def get_run(
    run_id: str,
    who: Annotated[Principal, requires(Permission.runs_read)],
    sessions: Sessions,
    bell: Annotated[Notices, wired(Notices)],
    etags: ETags,
    wait: Annotated[int, Query(ge=0, le=60, description="Seconds to wait for a change.")] = 0,
    until: Annotated[Literal["terminal"] | None, Query(description="Wait for the end only.")] = None,
) -> RunOut:
    """One run; with `wait`, at the next change of phase, or at its end, or when the time is over."""
    found = path_id("run", run_id)
    # Subscribed first, read then: a change between the two rings the bell.
    with bell.subscribed(who.org_id) as rung:
        row = await _read(sessions, found)
        seen = etags.known or run_tag(row)
        deadline = clock.monotonic() + wait
        while row.outcome is None and (until == "terminal" or run_tag(row) == seen):
            left = deadline - clock.monotonic()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                # The bell is a hint; without one look again now and then.
                async with asyncio.timeout(min(left, 5.0)):
                    await rung.wait()
            rung.clear()
            row = await _read(sessions, found)
    etags.answer(run_tag(row))
    return run_out(row)


@router.post("/v1/runs/{run_id}/actions/cancel", operation_id="cancelRun", status_code=202)
@refuses("409 already_finished")
async def cancel_run(
    run_id: str,
    who: Annotated[Principal, requires(Permission.runs_create)],
    session: Session,
    response: Response,
) -> RunOut:
    """Stop a run: its command gets SIGTERM, and SIGKILL when it does not end."""
    found = path_id("run", run_id)
    await asking.request_cancel(session, await session.one(queries.RUN, org_id=session.org_id, run_id=found))
    return accepted(await session.one(queries.RUN, org_id=session.org_id, run_id=found), response)

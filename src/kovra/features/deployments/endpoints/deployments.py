"""Start, list, wait for, cancel and repeat deployments; releases."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from kovra.features.deployments import queries
from kovra.features.deployments.endpoints.shapes import deployment_out, deployment_tag, release_out
from kovra.features.deployments.queries import DeploymentRow
from kovra.features.deployments.schemas import DeploymentIn, DeploymentOut, ReleaseOut
from kovra.features.deployments.service import rollback
from kovra.features.deployments.service import start as starting
from kovra.features.deployments.service.start import DeployOptions
from kovra.features.projects.service import NONE, Parents, parents_of
from kovra.foundation import clock
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.notices import Notices
from kovra.foundation.db.pages import reference
from kovra.foundation.errors import Conflict, NotFound
from kovra.foundation.ids import NIL, decode, encode
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags
from kovra.foundation.web.fields import Reference, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.includes import including
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, SessionFactory, Sessions, wired

router = APIRouter(route_class=KovraRoute)

Store = Annotated[HolderKeyStore, wired(HolderKeyStore)]
Options = Annotated[DeployOptions, wired(DeployOptions)]
Bell = Annotated[Notices, wired(Notices)]
Addresses = Annotated[AppAddresses, wired(AppAddresses)]
Include = Annotated[frozenset[str], including("app", "environment", "app_environment")]
PhaseName = Literal["queued", "waiting", "preparing", "building", "releasing", "rolling_out", "verifying", "done"]
OutcomeName = Literal["live", "failed", "canceled", "superseded", "skipped"]


def accepted(row: DeploymentRow, response: Response) -> DeploymentOut:
    """202: where to look, and its place in the queue."""
    response.headers["Location"] = f"/v1/deployments/{encode('dep', row.id)}"
    return deployment_out(row)


@router.post("/v1/apps/{app_id}/deployments", tags=["deployments"], operation_id="createDeployment", status_code=202)
@refuses(
    "409 cannot_restore",
    "409 deployment_in_progress",
    "409 quota_exceeded",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def create_deployment(
    body: DeploymentIn,
    app_id: str,
    who: Annotated[Principal, requires(Permission.deployments_create)],
    session: Session,
    store: Store,
    options: Options,
    response: Response,
) -> DeploymentOut:
    """Deploy an image, or a release's image again. The answer comes at once; wait with `GET …?wait=30`."""
    row = await starting.lock_pair(session, path_id("app", app_id), body.environment)
    if body.release is not None:
        release = await rollback.find_release(session, row, body.release)
        made = await rollback.redeploy(
            session, store, row, release, trigger=body.trigger, message=body.message, plans=options.plans
        )
        return accepted(made, response)
    made = await starting.deploy_image(
        session, store, row, body.image, options, trigger=body.trigger, message=body.message
    )
    return accepted(made, response)


@router.get("/v1/deployments", tags=["deployments"], operation_id="listDeployments")
async def list_deployments(
    who: Annotated[Principal, requires(Permission.deployments_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.DEPLOYMENTS)],
    include: Include,
    addresses: Addresses,
    app: Annotated[Reference | None, Query(description="App id or slug.", examples=["web"])] = None,
    environment: Annotated[
        Reference | None, Query(description="Environment id or slug.", examples=["production"])
    ] = None,
    phase: Annotated[PhaseName | None, Query(description="Only those in this phase.")] = None,
    outcome: Annotated[OutcomeName | None, Query(description="Only those that ended so.")] = None,
) -> ListOf[DeploymentOut]:
    """Deployments, newest first unless `sort` says otherwise."""
    filters = {**reference("app", "app", app), **reference("environment", "env", environment)}
    page = await pages.read(session, queries.DEPLOYMENTS, phase=phase, outcome=outcome, **filters)
    parents = await parents_of(session, include, page.rows)
    return pages.answer(session.org_id, page, lambda row: deployment_out(row, parents, addresses))


async def _read(
    sessions: SessionFactory, deployment_id: UUID, include: frozenset[str]
) -> tuple[DeploymentRow, Parents]:
    if include:
        async with sessions() as session:
            row = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=deployment_id)
            return row, await parents_of(session, include, [row])
    found = await sessions.hot("hot_deployment", DeploymentRow, deployment_id)
    if not found:
        raise NotFound("Not found.")
    return found[0], NONE


@router.get("/v1/deployments/{deployment_id}", tags=["deployments"], operation_id="getDeployment")
async def get_deployment(
    deployment_id: str,
    who: Annotated[Principal, requires(Permission.deployments_read)],
    sessions: Sessions,
    bell: Bell,
    etags: ETags,
    include: Include,
    addresses: Addresses,
    wait: Annotated[int, Query(ge=0, le=60, description="Seconds to wait for a change.")] = 0,
    until: Annotated[Literal["terminal"] | None, Query(description="Wait for the end only.")] = None,
) -> DeploymentOut:
    """One deployment; with `wait`, at the next change of phase, or at its end, or when the time is over."""
    found = path_id("dep", deployment_id)
    # Subscribed first, read then: a change between the two rings the bell.
    with bell.subscribed(who.org_id) as rung:
        row, parents = await _read(sessions, found, include)
        seen = (etags.known or deployment_tag(row)).split(".")[0]
        deadline = clock.monotonic() + wait
        while row.outcome is None and (until == "terminal" or deployment_tag(row) == seen):
            left = deadline - clock.monotonic()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                # The bell is a hint; without one look again now and then.
                async with asyncio.timeout(min(left, 5.0)):
                    await rung.wait()
            rung.clear()
            row, parents = await _read(sessions, found, include)
    shown = deployment_out(row, parents, addresses)
    etags.answer(deployment_tag(row), shown.app, shown.environment, shown.app_environment)
    return shown


@router.post(
    "/v1/deployments/{deployment_id}/actions/cancel",
    tags=["deployments"],
    operation_id="cancelDeployment",
    status_code=202,
)
@refuses("409 already_finished")
async def cancel_deployment(
    deployment_id: str,
    who: Annotated[Principal, requires(Permission.deployments_create)],
    session: Session,
    response: Response,
) -> DeploymentOut:
    """Stop a deployment; what served before is put back."""
    found = path_id("dep", deployment_id)
    deployment = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=found)
    locked = await starting.lock(session, deployment.app_environment_id)
    asked = await starting.request_cancel(session, locked, found, by=(await session.access()).actor)
    if not asked:
        raise Conflict("It has ended already.", code="already_finished", facts={"outcome": deployment.outcome})
    row = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=found)
    return accepted(row, response)


@router.post(
    "/v1/deployments/{deployment_id}/actions/promote", tags=["deployments"], operation_id="promote", status_code=202
)
@refuses("409 not_a_canary")
async def promote(
    deployment_id: str,
    who: Annotated[Principal, requires(Permission.deployments_create)],
    session: Session,
    response: Response,
) -> DeploymentOut:
    """Let a canary take over now, without its further steps; its rollout is judged as every other."""
    found = path_id("dep", deployment_id)
    deployment = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=found)
    locked = await starting.lock(session, deployment.app_environment_id)
    deployment = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=found)
    await starting.request_promote(session, locked, deployment)
    return accepted(await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=found), response)


@router.post(
    "/v1/deployments/{deployment_id}/actions/redeploy", tags=["deployments"], operation_id="redeploy", status_code=202
)
@refuses(
    "409 cannot_restore",
    "409 deployment_in_progress",
    "409 quota_exceeded",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def redeploy(
    deployment_id: str,
    who: Annotated[Principal, requires(Permission.deployments_create)],
    session: Session,
    store: Store,
    options: Options,
    response: Response,
) -> DeploymentOut:
    """Deploy the same image again, with the newest config."""
    deployment = await session.one(
        queries.DEPLOYMENT, org_id=session.org_id, deployment_id=path_id("dep", deployment_id)
    )
    row = await starting.lock(session, deployment.app_environment_id)
    if deployment.release_id is not None:
        release = await session.one(queries.RELEASE, org_id=session.org_id, release_id=deployment.release_id)
        return accepted(await rollback.redeploy(session, store, row, release, plans=options.plans), response)
    made = await starting.deploy_image(session, store, row, deployment.source.get("image"), options)
    return accepted(made, response)


@router.get("/v1/releases", tags=["releases"], operation_id="listReleases")
async def list_releases(
    who: Annotated[Principal, requires(Permission.deployments_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.RELEASES)],
    include: Annotated[frozenset[str], including("app_environment")],
    addresses: Addresses,
    app_environment: Annotated[Reference | None, Query(description="App environment id.")] = None,
) -> ListOf[ReleaseOut]:
    """Releases, newest first unless `sort` says otherwise."""
    inside = decode("aev", app_environment) or NIL if app_environment else None
    page = await pages.read(session, queries.RELEASES, app_environment_id=inside)
    parents = await parents_of(session, include, page.rows)
    return pages.answer(session.org_id, page, lambda row: release_out(row, parents=parents, addresses=addresses))


@router.get("/v1/releases/{release_id}", tags=["releases"], operation_id="getRelease")
async def get_release(
    release_id: str,
    who: Annotated[Principal, requires(Permission.deployments_read)],
    session: Session,
    store: Store,
    include: Annotated[frozenset[str], including("app_environment")],
    addresses: Addresses,
) -> ReleaseOut:
    """One release, and whether it can be rolled back to."""
    row = await session.one(queries.RELEASE, org_id=session.org_id, release_id=path_id("rel", release_id))
    parents = await parents_of(session, include, [row])
    reasons = await rollback.rollbackable(session, row, store)
    return release_out(row, reasons, parents=parents, addresses=addresses)

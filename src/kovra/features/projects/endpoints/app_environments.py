"""App environments over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from kovra.features.projects import queries, service
from kovra.features.projects.endpoints.resources import ProjectFilter, changes_of, project_filter
from kovra.features.projects.paths import CurrentAppEnvironment
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.rules import host_label
from kovra.features.projects.schemas import (
    AppEnvironmentOut,
    AppEnvironmentPatch,
    ReleaseRef,
)
from kovra.foundation.access import Permission, Principal
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.idempotency import KovraRoute
from kovra.foundation.web.lists import ListOf, Pages
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute)

Addresses = Annotated[AppAddresses, wired(AppAddresses)]


def app_environment_out(row: AppEnvironmentRow, addresses: AppAddresses) -> AppEnvironmentOut:
    """The app environment as it is shown."""
    current = None
    if row.current_release_id is not None:
        current = ReleaseRef(
            id=row.current_release_id, number=row.current_release_number or 0, image=row.current_release_image or "",
            digest=row.current_release_digest or "",
        )  # fmt: skip
    return AppEnvironmentOut(
        id=row.id, project_id=row.project_id, app_id=row.app_id, environment_id=row.environment_id,
        url=addresses.url(host_label(row.app_slug, row.environment_slug, row.id)), scale=row.scale,
        overlap_policy=row.overlap_policy or row.environment_overlap_policy, watch_window_s=row.watch_window_s,
        auto_rollback=row.auto_rollback, auto_deploy_paused=row.auto_deploy_paused, suspended=row.suspended,
        config_revision=row.last_config_number, current_release=current,
        current_deployment_id=row.current_deployment_id, health=row.health, created_at=row.created_at,
        updated_at=row.updated_at,
    )  # fmt: skip


@router.get("/v1/app-environments", tags=["app environments"], operation_id="listAppEnvironments")
async def list_app_environments(
    who: Annotated[Principal, requires(Permission.apps_read)],
    session: Session,
    pages: Pages,
    addresses: Addresses,
    app: Annotated[str | None, Query(max_length=40, description="App id.")] = None,
    environment: Annotated[str | None, Query(max_length=40, description="Environment id.")] = None,
    project: ProjectFilter = None,
) -> ListOf[AppEnvironmentOut]:
    """Apps in environments, newest first."""
    values = {
        "org_id": session.org_id,
        "app_id": path_id("app", app) if app else None,
        "environment_id": path_id("env", environment) if environment else None,
        "project_id": await project_filter(session, project),
    }
    rows, more = await pages.run(
        session.org_id,
        {"app": app, "environment": environment, "project": project},
        lambda after, limit: session.all(queries.APP_ENVIRONMENTS, after=after, limit=limit, **values),
        lambda row: row.id,
    )
    return ListOf(data=[app_environment_out(r, addresses) for r in rows], next=more, has_more=more is not None)


@router.get("/v1/app-environments/{app_environment_id}", tags=["app environments"], operation_id="getAppEnvironment")
async def get_app_environment(
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.apps_read)],
    addresses: Addresses,
    etags: ETags,
) -> AppEnvironmentOut:
    """One app in one environment: its address, scale, current release and health."""
    etags.answer(version_of(row.updated_at))
    return app_environment_out(row, addresses)


@router.patch(
    "/v1/app-environments/{app_environment_id}", tags=["app environments"], operation_id="updateAppEnvironment"
)
async def update_app_environment(
    body: AppEnvironmentPatch,
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.apps_update)],
    session: Session,
    addresses: Addresses,
    etags: ETags,
) -> AppEnvironmentOut:
    """Change scale, overlap policy, watch window or automatic rollback."""
    etags.check(version_of(row.updated_at))
    after = await service.update_app_environment(session, row.id, changes_of(body, "overlap_policy"))
    etags.answer(version_of(after.updated_at))
    return app_environment_out(after, addresses)

"""App environments over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from kovra.features.projects import queries, service
from kovra.features.projects.endpoints.parameters import (
    Addresses,
    AppFilter,
    EnvironmentFilter,
    ProjectFilter,
)
from kovra.features.projects.paths import CurrentAppEnvironment
from kovra.features.projects.queries.lists import APP_ENVIRONMENTS
from kovra.features.projects.queries.rows import AppEnvironmentRow
from kovra.features.projects.schemas.app_environments import AppEnvironmentOut, AppEnvironmentPatch
from kovra.features.projects.service import Parents, parents_of
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.pages import reference
from kovra.foundation.errors import Conflict
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, content
from kovra.foundation.web.fields import changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.includes import including
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, tags=["app environments"])

Include = Annotated[frozenset[str], including("project", "app", "environment")]


def _shown(row: AppEnvironmentRow, addresses: AppAddresses, parents: Parents) -> AppEnvironmentOut:
    return AppEnvironmentOut.of(
        row,
        addresses,
        project=parents.projects.get(row.project_id),
        app=parents.apps.get(row.app_id),
        environment=parents.environments.get(row.environment_id),
    )


@router.get("/v1/app-environments", operation_id="listAppEnvironments")
async def list_app_environments(
    who: Annotated[Principal, requires(Permission.apps_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(APP_ENVIRONMENTS)],
    include: Include,
    addresses: Addresses,
    app: AppFilter = None,
    environment: EnvironmentFilter = None,
    project: ProjectFilter = None,
) -> ListOf[AppEnvironmentOut]:
    """Apps in environments, newest first unless `sort` says otherwise."""
    filters = {
        **reference("app", "app", app),
        **reference("environment", "env", environment),
        **reference("project", "prj", project),
    }
    page = await pages.read(session, APP_ENVIRONMENTS, **filters)
    parents = await parents_of(session, include, page.rows)
    return pages.answer(session.org_id, page, lambda row: _shown(row, addresses, parents))


@router.get("/v1/app-environments/{app_environment_id}", operation_id="getAppEnvironment")
async def get_app_environment(
    row: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.apps_read)],
    session: Session,
    include: Include,
    addresses: Addresses,
    etags: ETags,
) -> AppEnvironmentOut:
    """One app in one environment: its address, scale, current release and health."""
    shown = _shown(row, addresses, await parents_of(session, include, [row]))
    etags.answer(content(AppEnvironmentOut.of(row, addresses)), shown.project, shown.app, shown.environment)
    return shown


@router.patch("/v1/app-environments/{app_environment_id}", operation_id="updateAppEnvironment")
@refuses(
    "403 plan_lacks_private_networking", "409 canary_needs_gateway", "409 maintenance_not_configured", "409 not_routed"
)
async def update_app_environment(
    body: AppEnvironmentPatch,
    app_environment_id: str,
    who: Annotated[Principal, requires(Permission.apps_update)],
    session: Session,
    addresses: Addresses,
    etags: ETags,
) -> AppEnvironmentOut:
    """Change scale, overlap policy, watch window, automatic rollback, or who reaches it."""
    row = await session.one(
        queries.ALIVE_APP_ENVIRONMENT_FOR_UPDATE,
        org_id=session.org_id,
        app_environment_id=path_id("aev", app_environment_id),
    )
    etags.check(content(AppEnvironmentOut.of(row, addresses)))
    changes = changes_of(body, "overlap_policy", "egress")
    if changes.get("maintenance") and not addresses.has_page:
        raise Conflict("This installation has no page for maintenance.", code="maintenance_not_configured")
    if (changes.get("rollout") or {}).get("strategy") == "canary" and not addresses.shares:
        raise Conflict("This installation's routes share nothing out by weight.", code="canary_needs_gateway")
    after = await service.update_app_environment(session, row, changes)
    shown = AppEnvironmentOut.of(after, addresses)
    etags.answer(content(shown))
    return shown

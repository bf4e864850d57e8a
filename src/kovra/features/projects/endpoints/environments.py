"""Environments over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from kovra.features.clusters.service.registering import cluster_for_environment
from kovra.features.projects import queries, service
from kovra.features.projects.endpoints.parameters import Cascade, PlansInForce, ProjectFilter, SlugFilter, located
from kovra.features.projects.paths import CurrentEnvironment
from kovra.features.projects.queries.lists import ENVIRONMENTS
from kovra.features.projects.schemas import EnvironmentIn, EnvironmentOut, EnvironmentPatch
from kovra.features.projects.service import NewEnvironment, parents_of
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.pages import reference
from kovra.foundation.ids import encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.includes import including
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, tags=["environments"])

Include = Annotated[frozenset[str], including("project")]


@router.get("/v1/environments", operation_id="listEnvironments")
async def list_environments(
    who: Annotated[Principal, requires(Permission.environments_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(ENVIRONMENTS)],
    include: Include,
    project: ProjectFilter = None,
    slug: SlugFilter = None,
) -> ListOf[EnvironmentOut]:
    """Environments, newest first unless `sort` says otherwise."""
    page = await pages.read(session, ENVIRONMENTS, slug=slug, **reference("project", "prj", project))
    parents = await parents_of(session, include, page.rows)
    return pages.answer(session.org_id, page, lambda row: EnvironmentOut.of(row, parents.projects.get(row.project_id)))


@router.post("/v1/environments", operation_id="createEnvironment", status_code=201)
@refuses("409 project_full", "409 quota_exceeded", "409 secrets_not_encrypted", "409 slug_taken")
async def create_environment(
    body: EnvironmentIn,
    who: Annotated[Principal, requires(Permission.environments_create)],
    session: Session,
    plans: PlansInForce,
    etags: ETags,
    response: Response,
) -> EnvironmentOut:
    """Make an environment; every app of the project gets its place in it."""
    project = await service.project_named(session, body.project)
    wanted = NewEnvironment(
        name=body.name, slug="", kind=body.kind, protected=body.protected, delete_protected=body.delete_protected,
        overlap_policy=body.overlap_policy, cluster_id=await cluster_for_environment(session, body.cluster),
    )  # fmt: skip
    row = await service.create_environment(session, project.id, wanted, plans, name_given_slug=body.slug)
    etags.answer(version_of(row.updated_at))
    located(response, f"/v1/environments/{encode('env', row.id)}")
    return EnvironmentOut.of(row)


@router.get("/v1/environments/{environment_id}", operation_id="getEnvironment")
async def get_environment(
    environment: CurrentEnvironment,
    who: Annotated[Principal, requires(Permission.environments_read)],
    session: Session,
    include: Include,
    etags: ETags,
) -> EnvironmentOut:
    """One environment."""
    parents = await parents_of(session, include, [environment])
    shown = EnvironmentOut.of(environment, parents.projects.get(environment.project_id))
    etags.answer(version_of(environment.updated_at), shown.project)
    return shown


@router.patch("/v1/environments/{environment_id}", operation_id="updateEnvironment")
async def update_environment(
    body: EnvironmentPatch,
    environment_id: str,
    who: Annotated[Principal, requires(Permission.environments_update)],
    session: Session,
    etags: ETags,
) -> EnvironmentOut:
    """Change an environment."""
    row = await session.one(
        queries.ENVIRONMENT_FOR_UPDATE, org_id=session.org_id, environment_id=path_id("env", environment_id)
    )
    etags.check(version_of(row.updated_at))
    after = await service.update_environment(session, row, changes_of(body))
    etags.answer(version_of(after.updated_at))
    return EnvironmentOut.of(after)


@router.delete("/v1/environments/{environment_id}", operation_id="deleteEnvironment", status_code=202)
@refuses("409 delete_protected", "409 holds_apps")
async def delete_environment(
    environment_id: str,
    who: Annotated[Principal, requires(Permission.environments_delete)],
    session: Session,
    cascade: Cascade = None,
) -> EnvironmentOut:
    """Delete an environment; it can be restored until `purge_at`."""
    row = await service.delete_environment(session, path_id("env", environment_id), cascade=cascade)
    return EnvironmentOut.of(row)


@router.post("/v1/environments/{environment_id}/actions/restore", operation_id="restoreEnvironment")
@refuses("409 not_deleted", "409 parent_deleted", "409 quota_exceeded", "410 undo_window_over")
async def restore_environment(
    environment_id: str,
    who: Annotated[Principal, requires(Permission.environments_delete)],
    session: Session,
    plans: PlansInForce,
) -> EnvironmentOut:
    """Undo a deletion; what was live comes back."""
    return EnvironmentOut.of(await service.restore_environment(session, path_id("env", environment_id), plans))

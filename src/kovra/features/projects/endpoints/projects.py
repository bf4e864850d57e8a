"""Projects over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from kovra.features.projects import queries, service
from kovra.features.projects.endpoints.parameters import Cascade, PlansInForce, SlugFilter, located
from kovra.features.projects.paths import CurrentProject
from kovra.features.projects.queries.lists import PROJECTS
from kovra.features.projects.schemas import ProjectIn, ProjectOut, ProjectPatch
from kovra.foundation.access import Permission, Principal
from kovra.foundation.ids import encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, tags=["projects"])


@router.get("/v1/projects", operation_id="listProjects")
async def list_projects(
    who: Annotated[Principal, requires(Permission.projects_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(PROJECTS)],
    slug: SlugFilter = None,
) -> ListOf[ProjectOut]:
    """Projects, newest first unless `sort` says otherwise."""
    page = await pages.read(session, PROJECTS, slug=slug)
    return pages.answer(session.org_id, page, ProjectOut.of)


@router.post("/v1/projects", operation_id="createProject", status_code=201)
@refuses("409 quota_exceeded", "409 slug_taken")
async def create_project(
    body: ProjectIn,
    who: Annotated[Principal, requires(Permission.projects_create)],
    session: Session,
    plans: PlansInForce,
    etags: ETags,
    response: Response,
) -> ProjectOut:
    """Make a project; it starts with one environment, production."""
    row = await service.create_project(session, plans, name=body.name, slug=body.slug, description=body.description)
    etags.answer(version_of(row.updated_at))
    located(response, f"/v1/projects/{encode('prj', row.id)}")
    return ProjectOut.of(row)


@router.get("/v1/projects/{project_id}", operation_id="getProject")
async def get_project(
    project: CurrentProject, who: Annotated[Principal, requires(Permission.projects_read)], etags: ETags
) -> ProjectOut:
    """One project."""
    etags.answer(version_of(project.updated_at))
    return ProjectOut.of(project)


@router.patch("/v1/projects/{project_id}", operation_id="updateProject")
async def update_project(
    body: ProjectPatch,
    project_id: str,
    who: Annotated[Principal, requires(Permission.projects_update)],
    session: Session,
    etags: ETags,
) -> ProjectOut:
    """Change a project."""
    project = await session.one(
        queries.PROJECT_FOR_UPDATE, org_id=session.org_id, project_id=path_id("prj", project_id)
    )
    etags.check(version_of(project.updated_at))
    row = await service.update_project(session, project, changes_of(body))
    etags.answer(version_of(row.updated_at))
    return ProjectOut.of(row)


@router.delete("/v1/projects/{project_id}", operation_id="deleteProject", status_code=202)
@refuses("409 delete_protected", "409 holds_apps")
async def delete_project(
    project_id: str,
    who: Annotated[Principal, requires(Permission.projects_delete)],
    session: Session,
    cascade: Cascade = None,
) -> ProjectOut:
    """Delete a project; it can be restored until `purge_at`."""
    return ProjectOut.of(await service.delete_project(session, path_id("prj", project_id), cascade=cascade))


@router.post("/v1/projects/{project_id}/actions/restore", operation_id="restoreProject")
@refuses("409 not_deleted", "409 quota_exceeded", "410 undo_window_over")
async def restore_project(
    project_id: str,
    who: Annotated[Principal, requires(Permission.projects_delete)],
    session: Session,
    plans: PlansInForce,
) -> ProjectOut:
    """Undo a deletion; what was live comes back."""
    return ProjectOut.of(await service.restore_project(session, path_id("prj", project_id), plans))

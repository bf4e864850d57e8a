"""Projects, environments and apps over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from kovra.features.projects import queries, service
from kovra.features.projects.paths import CurrentEnvironment, CurrentProject
from kovra.features.projects.queries import AppRow, EnvironmentRow, ProjectRow
from kovra.features.projects.rules import ImageRules
from kovra.features.projects.schemas import (
    AppIn,
    AppOut,
    AppPatch,
    EnvironmentIn,
    EnvironmentOut,
    EnvironmentPatch,
    ProjectIn,
    ProjectOut,
    ProjectPatch,
)
from kovra.features.projects.service import NewApp, NewEnvironment
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Invalid, NotFound
from kovra.foundation.ids import decode
from kovra.foundation.web.addresses import AppAddresses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import Input, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.idempotency import KovraRoute
from kovra.foundation.web.lists import ListOf, Pages
from kovra.foundation.web.sessions import Session, Sessions, wired

router = APIRouter(route_class=KovraRoute)

Addresses = Annotated[AppAddresses, wired(AppAddresses)]
Images = Annotated[ImageRules, wired(ImageRules)]
ProjectFilter = Annotated[str | None, Query(max_length=60, description="Project id or slug.")]
SlugFilter = Annotated[str | None, Query(max_length=40)]
Cascade = Annotated[str | None, Query(max_length=40, description="The slug, to delete what is inside too.")]


def changes_of(body: Input, *nullable: str) -> dict[str, Any]:
    """The fields the caller sent; null only where it means something."""
    given = body.model_dump(exclude_unset=True)
    for name, value in given.items():
        if value is None and name not in nullable:
            raise Invalid.field(f"/{name}", "null_not_allowed", "This cannot be null.")
    return given


def project_out(row: ProjectRow) -> ProjectOut:
    """The project as it is shown."""
    return ProjectOut(
        id=row.id, name=row.name, slug=row.slug, description=row.description, created_at=row.created_at,
        updated_at=row.updated_at, deleted_at=row.deleted_at, purge_at=row.purge_at,
    )  # fmt: skip


@router.get("/v1/projects", tags=["projects"], operation_id="listProjects")
async def list_projects(
    who: Annotated[Principal, requires(Permission.projects_read)],
    session: Session,
    pages: Pages,
    slug: SlugFilter = None,
) -> ListOf[ProjectOut]:
    """Projects, newest first."""
    rows, more = await pages.run(
        session.org_id,
        {"slug": slug},
        lambda after, limit: session.all(queries.PROJECTS, org_id=session.org_id, after=after, limit=limit, slug=slug),
        lambda row: row.id,
    )
    return ListOf(data=[project_out(row) for row in rows], next=more, has_more=more is not None)


@router.post("/v1/projects", tags=["projects"], operation_id="createProject", status_code=201)
async def create_project(
    body: ProjectIn,
    who: Annotated[Principal, requires(Permission.projects_create)],
    session: Session,
    etags: ETags,
) -> ProjectOut:
    """Make a project; it starts with one environment, production."""
    row = await service.create_project(session, name=body.name, slug=body.slug, description=body.description)
    etags.answer(version_of(row.updated_at))
    return project_out(row)


@router.get("/v1/projects/{project_id}", tags=["projects"], operation_id="getProject")
async def get_project(
    project: CurrentProject, who: Annotated[Principal, requires(Permission.projects_read)], etags: ETags
) -> ProjectOut:
    """One project."""
    etags.answer(version_of(project.updated_at))
    return project_out(project)


@router.patch("/v1/projects/{project_id}", tags=["projects"], operation_id="updateProject")
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
    return project_out(row)


@router.delete("/v1/projects/{project_id}", tags=["projects"], operation_id="deleteProject", status_code=202)
async def delete_project(
    project_id: str,
    who: Annotated[Principal, requires(Permission.projects_delete)],
    session: Session,
    cascade: Cascade = None,
) -> ProjectOut:
    """Delete a project; it can be restored until `purge_at`."""
    return project_out(await service.delete_project(session, path_id("prj", project_id), cascade=cascade))


@router.post("/v1/projects/{project_id}/actions/restore", tags=["projects"], operation_id="restoreProject")
async def restore_project(
    project_id: str, who: Annotated[Principal, requires(Permission.projects_delete)], session: Session
) -> ProjectOut:
    """Undo a deletion; what was live comes back."""
    return project_out(await service.restore_project(session, path_id("prj", project_id)))


def environment_out(row: EnvironmentRow) -> EnvironmentOut:
    """The environment as it is shown."""
    return EnvironmentOut.model_validate(row, from_attributes=True)


async def project_filter(session: TenantSession, project: str | None) -> UUID | None:
    if project is None:
        return None
    return (await service.project_named(session, project, pointer="query:project")).id


@router.get("/v1/environments", tags=["environments"], operation_id="listEnvironments")
async def list_environments(
    who: Annotated[Principal, requires(Permission.environments_read)],
    session: Session,
    pages: Pages,
    project: ProjectFilter = None,
    slug: SlugFilter = None,
) -> ListOf[EnvironmentOut]:
    """Environments, newest first."""
    project_id = await project_filter(session, project)
    rows, more = await pages.run(
        session.org_id,
        {"project": project, "slug": slug},
        lambda after, limit: session.all(
            queries.ENVIRONMENTS, org_id=session.org_id, after=after, limit=limit, project_id=project_id, slug=slug
        ),
        lambda row: row.id,
    )
    return ListOf(data=[environment_out(row) for row in rows], next=more, has_more=more is not None)


@router.post("/v1/environments", tags=["environments"], operation_id="createEnvironment", status_code=201)
async def create_environment(
    body: EnvironmentIn,
    who: Annotated[Principal, requires(Permission.environments_create)],
    session: Session,
    etags: ETags,
) -> EnvironmentOut:
    """Make an environment; every app of the project gets its place in it."""
    project = await service.project_named(session, body.project)
    wanted = NewEnvironment(
        name=body.name, slug="", kind=body.kind, protected=body.protected, delete_protected=body.delete_protected,
        overlap_policy=body.overlap_policy,
    )  # fmt: skip
    row = await service.create_environment(session, project.id, wanted, name_given_slug=body.slug)
    etags.answer(version_of(row.updated_at))
    return environment_out(row)


@router.get("/v1/environments/{environment_id}", tags=["environments"], operation_id="getEnvironment")
async def get_environment(
    environment: CurrentEnvironment, who: Annotated[Principal, requires(Permission.environments_read)], etags: ETags
) -> EnvironmentOut:
    """One environment."""
    etags.answer(version_of(environment.updated_at))
    return environment_out(environment)


@router.patch("/v1/environments/{environment_id}", tags=["environments"], operation_id="updateEnvironment")
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
    return environment_out(after)


@router.delete(
    "/v1/environments/{environment_id}", tags=["environments"], operation_id="deleteEnvironment", status_code=202
)
async def delete_environment(
    environment_id: str,
    who: Annotated[Principal, requires(Permission.environments_delete)],
    session: Session,
    cascade: Cascade = None,
) -> EnvironmentOut:
    """Delete an environment; it can be restored until `purge_at`."""
    row = await service.delete_environment(session, path_id("env", environment_id), cascade=cascade)
    return environment_out(row)


@router.post(
    "/v1/environments/{environment_id}/actions/restore", tags=["environments"], operation_id="restoreEnvironment"
)
async def restore_environment(
    environment_id: str, who: Annotated[Principal, requires(Permission.environments_delete)], session: Session
) -> EnvironmentOut:
    """Undo a deletion."""
    return environment_out(await service.restore_environment(session, path_id("env", environment_id)))


def app_out(row: AppRow) -> AppOut:
    """The app as it is shown."""
    return AppOut(
        id=row.id, project_id=row.project_id, name=row.name, slug=row.slug, image=row.image, processes=row.processes,
        release_command=row.release_command, drain_s=row.drain_s, created_at=row.created_at,
        updated_at=row.updated_at, deleted_at=row.deleted_at, purge_at=row.purge_at,
    )  # fmt: skip


@router.get("/v1/apps", tags=["apps"], operation_id="listApps")
async def list_apps(
    who: Annotated[Principal, requires(Permission.apps_read)],
    sessions: Sessions,
    pages: Pages,
    project: ProjectFilter = None,
    slug: SlugFilter = None,
) -> ListOf[AppOut]:
    """Apps, newest first. One round trip: dashboards poll it."""
    project_id = decode("prj", project) if project else None

    async def read(after: UUID, limit: int) -> list[AppRow]:
        return await sessions.hot(
            "hot_apps", AppRow, after, limit, project_id, project if not project_id else None, slug
        )

    rows, more = await pages.run(who.org_id, {"project": project, "slug": slug}, read, lambda row: row.id)
    return ListOf(data=[app_out(row) for row in rows], next=more, has_more=more is not None)


@router.post("/v1/apps", tags=["apps"], operation_id="createApp", status_code=201)
async def create_app(
    body: AppIn,
    who: Annotated[Principal, requires(Permission.apps_create)],
    session: Session,
    images: Images,
    etags: ETags,
) -> AppOut:
    """Make an app; it gets its place in every environment of the project."""
    project = await service.project_named(session, body.project)
    processes = {n: p.model_dump(exclude_none=True) for n, p in body.processes.items()} if body.processes else None
    wanted = NewApp(
        name=body.name, slug=body.slug, image=body.image, processes=processes, release_command=body.release_command,
        drain_s=body.drain_s,
    )  # fmt: skip
    row = await service.create_app(session, project.id, wanted, images)
    etags.answer(version_of(row.updated_at))
    return app_out(row)


@router.get("/v1/apps/{app_id}", tags=["apps"], operation_id="getApp")
async def get_app(
    app_id: str, who: Annotated[Principal, requires(Permission.apps_read)], sessions: Sessions, etags: ETags
) -> AppOut:
    """One app. One round trip."""
    found = await sessions.hot("hot_app", AppRow, path_id("app", app_id))
    if not found:
        raise NotFound("Not found.")
    etags.answer(version_of(found[0].updated_at))
    return app_out(found[0])


@router.patch("/v1/apps/{app_id}", tags=["apps"], operation_id="updateApp")
async def update_app(
    body: AppPatch,
    app_id: str,
    who: Annotated[Principal, requires(Permission.apps_update)],
    session: Session,
    images: Images,
    etags: ETags,
) -> AppOut:
    """Change an app; it takes effect with the next deployment."""
    app = await session.one(queries.APP_FOR_UPDATE, org_id=session.org_id, app_id=path_id("app", app_id))
    etags.check(version_of(app.updated_at))
    changes = changes_of(body, "image", "release_command")
    if body.processes:
        changes["processes"] = {n: p.model_dump(exclude_none=True) for n, p in body.processes.items()}
    row = await service.update_app(session, app, changes, images)
    etags.answer(version_of(row.updated_at))
    return app_out(row)


@router.delete("/v1/apps/{app_id}", tags=["apps"], operation_id="deleteApp", status_code=202)
async def delete_app(
    app_id: str, who: Annotated[Principal, requires(Permission.apps_delete)], session: Session
) -> AppOut:
    """Delete an app; what it runs stops at once, and it can be restored until `purge_at`."""
    return app_out(await service.delete_app(session, path_id("app", app_id)))


@router.post("/v1/apps/{app_id}/actions/restore", tags=["apps"], operation_id="restoreApp")
async def restore_app(
    app_id: str, who: Annotated[Principal, requires(Permission.apps_delete)], session: Session
) -> AppOut:
    """Undo a deletion; what was live comes back."""
    return app_out(await service.restore_app(session, path_id("app", app_id)))

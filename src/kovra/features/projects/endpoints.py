"""Projects, environments, apps and app environments over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from kovra.features.projects import queries, service
from kovra.features.projects.paths import CurrentAppEnvironment, CurrentEnvironment, CurrentProject
from kovra.features.projects.queries import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.features.projects.rules import host_label
from kovra.features.projects.schemas import (
    AppEnvironmentOut,
    AppEnvironmentPatch,
    AppIn,
    AppOut,
    AppPatch,
    EnvironmentIn,
    EnvironmentOut,
    EnvironmentPatch,
    ProjectIn,
    ProjectOut,
    ProjectPatch,
    ReleaseRef,
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
ProjectFilter = Annotated[str | None, Query(max_length=60, description="Project id or slug.")]
SlugFilter = Annotated[str | None, Query(max_length=40)]
Cascade = Annotated[str | None, Query(max_length=40, description="The slug, to delete what is inside too.")]


def _changes(body: Input, *nullable: str) -> dict[str, Any]:
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
    row = await service.update_project(session, project, _changes(body))
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


async def _project_filter(session: TenantSession, project: str | None) -> UUID | None:
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
    project_id = await _project_filter(session, project)
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
    after = await service.update_environment(session, row, _changes(body))
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
    body: AppIn, who: Annotated[Principal, requires(Permission.apps_create)], session: Session, etags: ETags
) -> AppOut:
    """Make an app; it gets its place in every environment of the project."""
    project = await service.project_named(session, body.project)
    processes = {n: p.model_dump(exclude_none=True) for n, p in body.processes.items()} if body.processes else None
    wanted = NewApp(
        name=body.name, slug=body.slug, image=body.image, processes=processes, release_command=body.release_command,
        drain_s=body.drain_s,
    )  # fmt: skip
    row = await service.create_app(session, project.id, wanted)
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
    etags: ETags,
) -> AppOut:
    """Change an app; it takes effect with the next deployment."""
    app = await session.one(queries.APP_FOR_UPDATE, org_id=session.org_id, app_id=path_id("app", app_id))
    etags.check(version_of(app.updated_at))
    changes = _changes(body, "image", "release_command")
    if body.processes:
        changes["processes"] = {n: p.model_dump(exclude_none=True) for n, p in body.processes.items()}
    row = await service.update_app(session, app, changes)
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
        "project_id": await _project_filter(session, project),
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
    after = await service.update_app_environment(session, row.id, _changes(body, "overlap_policy"))
    etags.answer(version_of(after.updated_at))
    return app_environment_out(after, addresses)

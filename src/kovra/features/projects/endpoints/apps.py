"""Apps over HTTP."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Response

from kovra.features.projects import queries, service
from kovra.features.projects.endpoints.parameters import Images, ProjectFilter, SlugFilter, located
from kovra.features.projects.queries.lists import APPS
from kovra.features.projects.schemas import AppIn, AppOut, AppPatch
from kovra.features.projects.service import NewApp, parents_of
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.pages import LARGEST, NEWEST, Position, Whole, reference
from kovra.foundation.errors import NotFound
from kovra.foundation.ids import decode, encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.includes import including
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, Sessions

router = APIRouter(route_class=KovraRoute, tags=["apps"])

Include = Annotated[frozenset[str], including("project")]
_HOT: Final = Whole[AppOut]()
"""Apps as the hot read answers them: in the order of creation, as they are shown."""


@router.get("/v1/apps", operation_id="listApps")
async def list_apps(
    who: Annotated[Principal, requires(Permission.apps_read)],
    sessions: Sessions,
    pages: Annotated[Paging, pages_of(APPS)],
    include: Include,
    project: ProjectFilter = None,
    slug: SlugFilter = None,
) -> ListOf[AppOut]:
    """Apps, newest first unless `sort` says otherwise. Newest first is one round trip: dashboards poll it."""
    if include or pages.sort != NEWEST:
        async with sessions() as session:
            page = await pages.read(session, APPS, slug=slug, **reference("project", "prj", project))
            parents = await parents_of(session, include, page.rows)
        return pages.answer(who.org_id, page, lambda row: AppOut.of(row, parents.projects.get(row.project_id)))
    project_id = decode("prj", project) if project else None

    async def shown(after: Position | None, limit: int) -> list[AppOut]:
        named = project if not project_id else None
        return await sessions.hot("hot_apps", AppOut, after.id if after else LARGEST, limit, project_id, named, slug)

    return pages.answer(who.org_id, await pages.page(who.org_id, _HOT, shown), lambda app: app)


@router.post("/v1/apps", operation_id="createApp", status_code=201)
@refuses("409 project_full", "409 slug_taken")
async def create_app(
    body: AppIn,
    who: Annotated[Principal, requires(Permission.apps_create)],
    session: Session,
    images: Images,
    etags: ETags,
    response: Response,
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
    located(response, f"/v1/apps/{encode('app', row.id)}")
    return AppOut.of(row)


@router.get("/v1/apps/{app_id}", operation_id="getApp")
async def get_app(
    app_id: str,
    who: Annotated[Principal, requires(Permission.apps_read)],
    sessions: Sessions,
    include: Include,
    etags: ETags,
) -> AppOut:
    """One app. One round trip, unless parents are embedded."""
    wanted = path_id("app", app_id)
    if include:
        async with sessions() as session:
            row = await session.one(queries.APP, org_id=session.org_id, app_id=wanted)
            parents = await parents_of(session, include, [row])
        shown = AppOut.of(row, parents.projects.get(row.project_id))
        etags.answer(version_of(row.updated_at), shown.project)
        return shown
    found = await sessions.hot("hot_app", AppOut, wanted)
    if not found:
        raise NotFound("Not found.")
    etags.answer(version_of(found[0].updated_at))
    return found[0]


@router.patch("/v1/apps/{app_id}", operation_id="updateApp")
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
    return AppOut.of(row)


@router.delete("/v1/apps/{app_id}", operation_id="deleteApp", status_code=202)
async def delete_app(
    app_id: str, who: Annotated[Principal, requires(Permission.apps_delete)], session: Session
) -> AppOut:
    """Delete an app; what it runs stops at once, and it can be restored until `purge_at`."""
    return AppOut.of(await service.delete_app(session, path_id("app", app_id)))


@router.post("/v1/apps/{app_id}/actions/restore", operation_id="restoreApp")
@refuses("409 not_deleted", "409 parent_deleted", "410 undo_window_over")
async def restore_app(
    app_id: str, who: Annotated[Principal, requires(Permission.apps_delete)], session: Session
) -> AppOut:
    """Undo a deletion; what was live comes back."""
    return AppOut.of(await service.restore_app(session, path_id("app", app_id)))

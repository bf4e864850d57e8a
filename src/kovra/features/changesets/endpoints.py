"""Change sets, and the export of a project, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from kovra.features.changesets import queries
from kovra.features.changesets.queries import CHANGE_SETS, ChangeSetRow
from kovra.features.changesets.rules import kovrafile
from kovra.features.changesets.rules.wanted import Wanted, resolved
from kovra.features.changesets.schemas import LEFT_OUT, ChangeSetIn, ChangeSetOut, KovraFile, defaults, described, given
from kovra.features.changesets.service import acting, checking, exporting, keeping
from kovra.features.changesets.service.snapshot import APP_FIELDS, Place
from kovra.features.changesets.states import State
from kovra.features.deployments.service.start import DeployOptions
from kovra.features.projects import queries as project_queries
from kovra.features.projects.paths import CurrentProject
from kovra.features.projects.queries import ProjectRow
from kovra.features.projects.rules import ImageRules
from kovra.features.projects.service import environment_named, project_named
from kovra.foundation import clock
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.notices import Notices
from kovra.foundation.db.pages import reference
from kovra.foundation.db.session import TenantSession
from kovra.foundation.ids import encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import Reference, path_id
from kovra.foundation.web.guard import public, requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, SessionFactory, Sessions, SlowSession, wired
from kovra.models.projects import app_environments, apps

router = APIRouter(route_class=KovraRoute, tags=["change sets"])

Store = Annotated[HolderKeyStore, wired(HolderKeyStore)]
Bell = Annotated[Notices, wired(Notices)]
Reader = Annotated[Principal, requires(Permission.apps_read)]
Wait = Annotated[int, Query(ge=0, le=60, description="Seconds to wait until it is planned.")]
NULLABLE = frozenset(column.name for table in (apps, app_environments) for column in table.c if column.nullable)
StateName = Literal["planning", "ready", "failed", "applied"]


class Yaml(Response):
    """YAML (RFC 9512)."""

    media_type = "application/yaml"


async def _shown(session: TenantSession, store: HolderKeyStore, row: ChangeSetRow) -> ChangeSetOut:
    """With values of config vars for who may read them, as long as they are kept."""
    values = None
    if row.state == State.ready and (await session.access()).may(Permission.config_read):
        content = await keeping.opened(session, store, row)
        values = content.values if content else None
    return ChangeSetOut.of(row, values)


async def _row(sessions: SessionFactory, change_set_id: UUID) -> ChangeSetRow:
    async with sessions() as session:
        return await session.one(queries.CHANGE_SET, org_id=session.org_id, change_set_id=change_set_id)


async def _planned(sessions: SessionFactory, bell: Notices, org_id: UUID, change_set_id: UUID, wait: int) -> None:
    """Until it is planned, or the time is over."""
    # Subscribed first, read then: a change between the two rings the bell.
    with bell.subscribed(org_id) as rung:
        deadline = clock.monotonic() + wait
        while (await _row(sessions, change_set_id)).state == State.planning:
            left = deadline - clock.monotonic()
            if left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                # The bell is a hint; without one look again now and then.
                async with asyncio.timeout(min(left, 5.0)):
                    await rung.wait()
            rung.clear()


@router.post("/v1/change-sets", operation_id="createChangeSet", summary="What would it change", status_code=202)
@refuses("403 narrowed_to_an_app")
async def create_change_set(
    body: ChangeSetIn,
    who: Annotated[Principal, requires(Permission.apps_update)],
    slow: SlowSession,
    store: Store,
    images: Annotated[ImageRules, wired(ImageRules)],
    bell: Bell,
    etags: ETags,
    response: Response,
    wait: Wait = 0,
) -> ChangeSetOut:
    """Say what is wanted of an environment, and learn what that changes, field by field; nothing is changed by it.

    It is planned in the background: wait here, or with `GET …?wait=30`. Apply it with the ETag of what you have seen.
    """
    state = given(body.state)
    checking.check(state, images, NULLABLE)
    async with slow.reading() as session:
        project = await project_named(session, body.state.project, pointer="/state/project")
        environment = await environment_named(session, project.id, body.environment)
        wanted = Wanted(
            apps=resolved(state, environment.slug, frozenset(APP_FIELDS)),
            defaults=defaults(),
            prune=body.state.prune if body.prune is None else body.prune,
        )
        place = Place(project=project, environment=environment)
        made = await keeping.create(session, store, place, wanted, message=body.message, trigger=body.trigger)
    if wait:
        await _planned(slow, bell, who.org_id, made, wait)
    session = await slow.writing()
    row = await session.one(queries.CHANGE_SET, org_id=session.org_id, change_set_id=made)
    response.headers["Location"] = f"/v1/change-sets/{encode('cs', made)}"
    etags.answer(version_of(row.updated_at))
    return await _shown(session, store, row)


@router.get("/v1/change-sets", operation_id="listChangeSets", summary="What was planned and applied")
async def list_change_sets(
    who: Reader,
    session: Session,
    pages: Annotated[Paging, pages_of(CHANGE_SETS)],
    project: Annotated[Reference | None, Query(description="A project's id or slug.")] = None,
    environment: Annotated[Reference | None, Query(description="An environment's id or slug.")] = None,
    state: Annotated[StateName | None, Query(description="Only those in this state.")] = None,
) -> ListOf[ChangeSetOut]:
    """Change sets, newest first, without values of config vars; of an environment the newest fifty are kept."""
    filters = {**reference("project", "prj", project), **reference("environment", "env", environment)}
    page = await pages.read(session, CHANGE_SETS, state=state, **filters)
    return pages.answer(session.org_id, page, ChangeSetOut.of)


@router.get("/v1/change-sets/{change_set_id}", operation_id="getChangeSet", summary="What it would change")
async def get_change_set(
    change_set_id: str,
    who: Reader,
    sessions: Sessions,
    store: Store,
    bell: Bell,
    etags: ETags,
    wait: Wait = 0,
) -> ChangeSetOut:
    """One change set; with `wait`, once it is planned or the time is over."""
    found = path_id("cs", change_set_id)
    if wait:
        await _planned(sessions, bell, who.org_id, found, wait)
    async with sessions() as session:
        row = await session.one(queries.CHANGE_SET, org_id=session.org_id, change_set_id=found)
        shown = await _shown(session, store, row)
    etags.answer(version_of(row.updated_at))
    return shown


@router.post("/v1/change-sets/{change_set_id}/actions/apply", operation_id="applyChangeSet", summary="Make it so")
@refuses(
    "403 plan_lacks_private_networking", "409 change_set_planning", "409 change_set_failed", "409 change_set_stale",
    "409 deployment_in_progress", "409 project_full", "409 slug_taken", "409 too_many_cron_jobs", "410 change_set_expired",
    "412 version_mismatch", "428 if_match_required", "503 key_version_missing", "503 value_unreadable",
)  # fmt: skip
async def apply_change_set(
    change_set_id: str,
    who: Annotated[Principal, requires(Permission.apps_update)],
    session: Session,
    store: Store,
    options: Annotated[DeployOptions, wired(DeployOptions)],
    etags: ETags,
) -> ChangeSetOut:
    """Apply a change set as it was seen (`If-Match`): all of it at once, and then its deployments start.

    What was changed since it was planned makes it stale: 409 `change_set_stale` says what, and by whom, and nothing is
    done. Applied again it is the same, and nothing is done twice. Each change asks for the right that it asks for alone.
    """
    found = path_id("cs", change_set_id)
    row = await session.one(queries.CHANGE_SET, org_id=session.org_id, change_set_id=found)
    if row.state != State.applied:
        etags.check(version_of(row.updated_at), required=True)
        await acting.apply(session, store, row, options)
        row = await session.one(queries.CHANGE_SET, org_id=session.org_id, change_set_id=found)
    etags.answer(version_of(row.updated_at))
    return ChangeSetOut.of(row)


async def _exported(
    session: TenantSession, store: HolderKeyStore, project: ProjectRow, environment: str | None
) -> dict[str, Any]:
    if environment is not None:
        chosen = [await environment_named(session, project.id, environment)]
    else:
        chosen = await session.all(
            project_queries.ENVIRONMENTS_OF_PROJECT, org_id=session.org_id, project_id=project.id
        )
    return await exporting.export(session, store, project, chosen, frozenset(LEFT_OUT))


OnlyOf = Annotated[Reference | None, Query(description="Only of this environment, by id or slug.")]


@router.get(
    "/v1/projects/{project_id}/export",
    operation_id="exportProject",
    summary="A project as a file",
    response_model_exclude_unset=True,
)
@refuses("409 export_too_large", "503 key_version_missing", "503 value_unreadable")
async def export_project(
    project: CurrentProject, who: Reader, session: Session, store: Store, environment: OnlyOf = None
) -> KovraFile:
    """What a kovra.yaml would say that describes the project as it is: applied again it changes nothing.

    Config vars are in it for who may read them, secrets by name alone.
    """
    return KovraFile.model_validate(await _exported(session, store, project, environment))


@router.get(
    "/v1/projects/{project_id}/export.yaml",
    operation_id="exportProjectAsYaml",
    summary="A project as YAML",
    response_class=Yaml,
)
@refuses("409 export_too_large", "503 key_version_missing", "503 value_unreadable")
async def export_project_as_yaml(
    project: CurrentProject, who: Reader, session: Session, store: Store, environment: OnlyOf = None
) -> Yaml:
    """The same as the text of a kovra.yaml (RFC 9512)."""
    document = await _exported(session, store, project, environment)
    return Yaml(await asyncio.to_thread(kovrafile.write, document))


@router.get(
    "/docs/kovra.schema.json",
    operation_id="getFileSchema",
    summary="The JSON Schema of kovra.yaml",
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}, "example": {"title": "KovraFile"}}}}
    },
)
@public("Editors check a kovra.yaml by it: the same words for everybody.")
async def file_schema() -> Response:
    """What editors check a kovra.yaml with (JSON Schema 2020-12)."""
    return Response(described(), media_type="application/json")

"""Volumes over HTTP: made by deployments, listed, and removed on purpose."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from kovra.features.deployments.queries.volumes import VOLUME, VOLUMES, VolumeRow
from kovra.features.deployments.schemas import VolumeOut
from kovra.features.deployments.service import volumes
from kovra.foundation.access import Permission, Principal
from kovra.foundation.ids import NIL, decode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.fields import Reference, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, tags=["volumes"])


def _out(row: VolumeRow) -> VolumeOut:
    state = "removing" if row.removal_asked_at else "attached" if row.is_attached else "detached"
    return VolumeOut(
        id=row.id,
        app_environment_id=row.app_environment_id,
        process=row.process,
        name=row.name,
        size_gib=row.size_gib,
        state=state,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@router.get("/v1/volumes", operation_id="listVolumes")
async def list_volumes(
    who: Annotated[Principal, requires(Permission.apps_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(VOLUMES)],
    app_environment: Annotated[Reference | None, Query(description="App environment id.")] = None,
) -> ListOf[VolumeOut]:
    """Volumes, newest first unless `sort` says otherwise; also those that nothing mounts any more."""
    inside = decode("aev", app_environment) or NIL if app_environment else None
    return pages.answer(session.org_id, await pages.read(session, VOLUMES, app_environment_id=inside), _out)


@router.get("/v1/volumes/{volume_id}", operation_id="getVolume")
async def get_volume(
    volume_id: str, who: Annotated[Principal, requires(Permission.apps_read)], session: Session
) -> VolumeOut:
    """One volume."""
    return _out(await session.one(VOLUME, org_id=session.org_id, volume_id=path_id("vol", volume_id)))


@router.delete("/v1/volumes/{volume_id}", operation_id="removeVolume", status_code=202)
@refuses("409 deployment_in_progress", "409 volume_attached", "422 not_confirmed")
async def remove_volume(
    volume_id: str,
    who: Annotated[Principal, requires(Permission.apps_delete)],
    session: Session,
    confirm: Annotated[Reference | None, Query(description="The volume's name, as a word that this is meant.")] = None,
) -> VolumeOut:
    """Remove a volume that nothing mounts, and what is in it for good: there is no backup and no undo."""
    return _out(await volumes.request_removal(session, path_id("vol", volume_id), confirm))

"""Every statement about volumes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, and_, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from kovra.foundation.db.pages import Listing
from kovra.foundation.db.statements import command, statement
from kovra.models.deployments import releases
from kovra.models.projects import app_environments
from kovra.models.volumes import volumes

_v, _x, _r = volumes.c, app_environments.c, releases.c


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume, and whether what serves mounts it."""

    id: UUID
    app_environment_id: UUID
    process: str
    name: str
    size_gib: int
    is_attached: bool
    removal_asked_at: datetime | None
    created_at: datetime
    updated_at: datetime


def _volume() -> Select[Any]:
    mounted = func.coalesce(
        _r.processes[_v.process]["volumes"].contains(func.jsonb_build_array(func.jsonb_build_object("name", _v.name))),
        False,
    )
    return (
        select(
            _v.id, _v.app_environment_id, _v.process, _v.name, _v.size_gib, mounted.label("is_attached"),
            _v.removal_asked_at, _v.created_at, _v.updated_at,
        )
        .join(app_environments, and_(_x.org_id == _v.org_id, _x.id == _v.app_environment_id))
        .outerjoin(releases, and_(_r.org_id == _x.org_id, _r.id == _x.current_release_id))
        .where(_v.org_id == bindparam("org_id"))
    )  # fmt: skip


VOLUMES = Listing(
    _volume().where(
        or_(
            bindparam("app_environment_id", type_=Uuid).is_(None),
            _v.app_environment_id == bindparam("app_environment_id"),
        )
    ),
    VolumeRow,
    key=_v.id,
    by={},
)
VOLUME = statement(_volume().where(_v.id == bindparam("volume_id")), VolumeRow)
VOLUMES_OF = statement(
    _volume().where(_v.app_environment_id == bindparam("app_environment_id")).order_by(_v.id).limit(100), VolumeRow
)
_INSERT = insert(volumes)
KEEP = command(
    _INSERT.values(
        id=bindparam("id"), org_id=bindparam("org_id"), app_environment_id=bindparam("app_environment_id"),
        process=bindparam("process"), name=bindparam("name"), size_gib=bindparam("size_gib"),
    ).on_conflict_do_update(
        index_elements=["org_id", "app_environment_id", "process", "name"],
        set_={
            "size_gib": func.greatest(_v.size_gib, _INSERT.excluded.size_gib), "removal_asked_at": None,
            "updated_at": func.now(),
        },
    )
)  # fmt: skip
ASK_REMOVAL = command(
    volumes.update()
    .where(_v.org_id == bindparam("org"), _v.id == bindparam("volume_id"))
    .values(removal_asked_at=func.now(), updated_at=func.now())
)
FORGET = command(
    volumes.delete().where(
        _v.org_id == bindparam("org"), _v.id == bindparam("volume_id"), _v.removal_asked_at.is_not(None)
    )
)

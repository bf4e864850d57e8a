"""Every statement about projects, environments, apps and app environments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, Select, Uuid, and_, bindparam, func, or_, select
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB

from kovra.features.projects.queries.purging import (
    ANY_APP_ENVIRONMENTS_UNDER,
    PURGE_APP,
    PURGE_APPS_OF,
    PURGE_CONFIG,
    PURGE_ENVIRONMENT,
    PURGE_ENVIRONMENTS_OF,
    PURGE_PROJECT,
    PURGE_SECRETS,
    REVOKE_TOKENS_OF,
)
from kovra.features.projects.queries.rows import AppEnvironmentRow, AppRow, EnvironmentRow, Id, PairRow, ProjectRow
from kovra.foundation.db.statements import command, statement
from kovra.models.deployments import releases
from kovra.models.projects import app_environments, apps, environments, projects

__all__ = [
    "ADD_APP",
    "ADD_APP_ENVIRONMENT",
    "ADD_ENVIRONMENT",
    "ADD_PROJECT",
    "ALIVE_APP_ENVIRONMENT_FOR_UPDATE",
    "ALL_ENVIRONMENTS_OF_PROJECT",
    "ANY_APP_ENVIRONMENT",
    "ANY_APP_ENVIRONMENTS_UNDER",
    "APP",
    "APPS_OF_PROJECT",
    "APP_DELETED_FOR_UPDATE",
    "APP_ENVIRONMENT",
    "APP_ENVIRONMENTS",
    "APP_ENVIRONMENTS_UNDER",
    "APP_ENVIRONMENT_FOR_UPDATE",
    "APP_ENVIRONMENT_OF_PAIR",
    "APP_FOR_UPDATE",
    "ENVIRONMENT",
    "ENVIRONMENTS",
    "ENVIRONMENTS_OF_PROJECT",
    "ENVIRONMENT_DELETED_FOR_UPDATE",
    "ENVIRONMENT_FOR_UPDATE",
    "ENVIRONMENT_NAMED",
    "MARK_APP",
    "MARK_APP_ENVIRONMENTS",
    "MARK_ENVIRONMENT",
    "MARK_PROJECT",
    "PAIRS_UNDER",
    "PROJECT",
    "PROJECTS",
    "PROJECT_DELETED_FOR_UPDATE",
    "PROJECT_FOR_UPDATE",
    "PROJECT_NAMED",
    "PROJECT_OF_APP_FOR_UPDATE",
    "PROJECT_OF_ENVIRONMENT_FOR_UPDATE",
    "PURGE_APP",
    "PURGE_APPS_OF",
    "PURGE_CONFIG",
    "PURGE_ENVIRONMENT",
    "PURGE_ENVIRONMENTS_OF",
    "PURGE_PROJECT",
    "PURGE_SECRETS",
    "REVIVE_APP_ENVIRONMENTS",
    "REVOKE_TOKENS_OF",
    "UPDATE_APP",
    "UPDATE_APP_ENVIRONMENT",
    "UPDATE_ENVIRONMENT",
    "UPDATE_PROJECT",
    "AppEnvironmentRow",
    "AppRow",
    "EnvironmentRow",
    "Id",
    "PairRow",
    "ProjectRow",
]

_p, _e, _a, _x, _r = projects.c, environments.c, apps.c, app_environments.c, releases.c
_LIMIT = bindparam("limit", type_=Integer)

_PROJECT = select(
    _p.id, _p.name, _p.slug, _p.description, _p.created_at, _p.updated_at, _p.deleted_at, _p.purge_at
).where(_p.org_id == bindparam("org_id"))
_ENVIRONMENT = select(
    _e.id, _e.project_id, _e.name, _e.slug, _e.kind, _e.protected, _e.delete_protected, _e.overlap_policy,
    _e.created_at, _e.updated_at, _e.deleted_at, _e.purge_at,
).where(_e.org_id == bindparam("org_id"))  # fmt: skip
_APP = select(
    _a.id, _a.project_id, _a.name, _a.slug, _a.image, _a.processes, _a.release_command, _a.drain_s,
    _a.created_at, _a.updated_at, _a.deleted_at, _a.purge_at,
).where(_a.org_id == bindparam("org_id"))  # fmt: skip


def _app_environment() -> Select[Any]:
    return (
        select(
            _x.id, _x.project_id, _x.app_id, _x.environment_id, _a.slug.label("app_slug"), _e.slug.label("environment_slug"),
            _e.kind.label("environment_kind"), _e.protected, _e.overlap_policy.label("environment_overlap_policy"),
            _x.scale, _x.overlap_policy, _x.watch_window_s, _x.auto_rollback, _x.suspended, _x.auto_deploy_paused,
            _x.last_config_number, _x.last_release_number, _x.last_deployment_number, _x.current_release_id,
            _r.number.label("current_release_number"), _r.image.label("current_release_image"),
            _r.digest.label("current_release_digest"), _x.current_deployment_id, _x.health, _x.watch_until,
            _x.inventory, _x.seen, _x.created_at, _x.updated_at,
        )
        .join(apps, and_(_a.org_id == _x.org_id, _a.id == _x.app_id))
        .join(environments, and_(_e.org_id == _x.org_id, _e.id == _x.environment_id))
        .outerjoin(releases, and_(_r.org_id == _x.org_id, _r.id == _x.current_release_id))
        .where(_x.org_id == bindparam("org_id"))
    )  # fmt: skip


_AEV = _app_environment()
_ALIVE = _x.deleted_at.is_(None)

PROJECT = statement(_PROJECT.where(_p.id == bindparam("project_id"), _p.deleted_at.is_(None)), ProjectRow)
PROJECT_FOR_UPDATE = statement(
    _PROJECT.where(_p.id == bindparam("project_id"), _p.deleted_at.is_(None)).with_for_update(key_share=True),
    ProjectRow,
)
PROJECT_DELETED_FOR_UPDATE = statement(
    _PROJECT.where(_p.id == bindparam("project_id"), _p.deleted_at.is_not(None)).with_for_update(key_share=True),
    ProjectRow,
)
# Whatever changes the set of pairs below a project holds the project's row, taken before any row below it.
PROJECT_OF_APP_FOR_UPDATE = statement(
    select(_p.id)
    .where(
        _p.org_id == bindparam("org_id"),
        _p.id
        == select(_a.project_id).where(_a.org_id == bindparam("org_id"), _a.id == bindparam("id")).scalar_subquery(),
    )
    .with_for_update(key_share=True),
    Id,
)
PROJECT_OF_ENVIRONMENT_FOR_UPDATE = statement(
    select(_p.id)
    .where(
        _p.org_id == bindparam("org_id"),
        _p.id
        == select(_e.project_id).where(_e.org_id == bindparam("org_id"), _e.id == bindparam("id")).scalar_subquery(),
    )
    .with_for_update(key_share=True),
    Id,
)
PROJECT_NAMED = statement(
    _PROJECT.where(_p.deleted_at.is_(None), or_(_p.id == bindparam("id"), _p.slug == bindparam("slug"))), ProjectRow
)
PROJECTS = statement(
    _PROJECT.where(
        _p.deleted_at.is_(None),
        _p.id < bindparam("after"),
        or_(bindparam("slug", type_=SqlText).is_(None), _p.slug == bindparam("slug")),
    )
    .order_by(_p.id.desc())
    .limit(_LIMIT),
    ProjectRow,
)
ADD_PROJECT = command(
    projects.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), name=bindparam("name"), slug=bindparam("slug"),
        description=bindparam("description"),
    )
)  # fmt: skip
UPDATE_PROJECT = command(
    projects.update()
    .where(_p.org_id == bindparam("org"), _p.id == bindparam("project_id"))
    .values(name=bindparam("name"), description=bindparam("description"), updated_at=func.now())
)
MARK_PROJECT = command(
    projects.update()
    .where(_p.org_id == bindparam("org"), _p.id == bindparam("project_id"))
    .values(deleted_at=bindparam("deleted_at"), purge_at=bindparam("purge_at"), updated_at=func.now())
)

ENVIRONMENT = statement(
    _ENVIRONMENT.where(_e.id == bindparam("environment_id"), _e.deleted_at.is_(None)), EnvironmentRow
)
ENVIRONMENT_FOR_UPDATE = statement(
    _ENVIRONMENT.where(_e.id == bindparam("environment_id"), _e.deleted_at.is_(None)).with_for_update(key_share=True),
    EnvironmentRow,
)
ENVIRONMENT_DELETED_FOR_UPDATE = statement(
    _ENVIRONMENT.where(_e.id == bindparam("environment_id"), _e.deleted_at.is_not(None)).with_for_update(
        key_share=True
    ),
    EnvironmentRow,
)
ENVIRONMENT_NAMED = statement(
    _ENVIRONMENT.where(
        _e.deleted_at.is_(None),
        _e.project_id == bindparam("project_id"),
        or_(_e.id == bindparam("id"), _e.slug == bindparam("slug")),
    ),
    EnvironmentRow,
)
ENVIRONMENTS = statement(
    _ENVIRONMENT.where(
        _e.deleted_at.is_(None),
        _e.id < bindparam("after"),
        or_(bindparam("project_id", type_=Uuid).is_(None), _e.project_id == bindparam("project_id")),
        or_(bindparam("slug", type_=SqlText).is_(None), _e.slug == bindparam("slug")),
    )
    .order_by(_e.id.desc())
    .limit(_LIMIT),
    EnvironmentRow,
)
ADD_ENVIRONMENT = command(
    environments.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), project_id=bindparam("project_id"), name=bindparam("name"),
        slug=bindparam("slug"), kind=bindparam("kind"), protected=bindparam("protected"),
        delete_protected=bindparam("delete_protected"), overlap_policy=bindparam("overlap_policy"),
    )
)  # fmt: skip
UPDATE_ENVIRONMENT = command(
    environments.update()
    .where(_e.org_id == bindparam("org"), _e.id == bindparam("environment_id"))
    .values(
        name=bindparam("name"), kind=bindparam("kind"), protected=bindparam("protected"),
        delete_protected=bindparam("delete_protected"), overlap_policy=bindparam("overlap_policy"), updated_at=func.now(),
    )
)  # fmt: skip
MARK_ENVIRONMENT = command(
    environments.update()
    .where(_e.org_id == bindparam("org"), _e.id == bindparam("environment_id"))
    .values(deleted_at=bindparam("deleted_at"), purge_at=bindparam("purge_at"), updated_at=func.now())
)

APP = statement(_APP.where(_a.id == bindparam("app_id"), _a.deleted_at.is_(None)), AppRow)
APP_FOR_UPDATE = statement(
    _APP.where(_a.id == bindparam("app_id"), _a.deleted_at.is_(None)).with_for_update(key_share=True), AppRow
)
APP_DELETED_FOR_UPDATE = statement(
    _APP.where(_a.id == bindparam("app_id"), _a.deleted_at.is_not(None)).with_for_update(key_share=True), AppRow
)
ADD_APP = command(
    apps.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), project_id=bindparam("project_id"), name=bindparam("name"),
        slug=bindparam("slug"), image=bindparam("image"), processes=bindparam("processes", type_=JSONB),
        release_command=bindparam("release_command", type_=JSONB), drain_s=bindparam("drain_s"),
    )
)  # fmt: skip
UPDATE_APP = command(
    apps.update()
    .where(_a.org_id == bindparam("org"), _a.id == bindparam("app_id"))
    .values(
        name=bindparam("name"), image=bindparam("image"), processes=bindparam("processes", type_=JSONB),
        release_command=bindparam("release_command", type_=JSONB), drain_s=bindparam("drain_s"), updated_at=func.now(),
    )
)  # fmt: skip
MARK_APP = command(
    apps.update()
    .where(_a.org_id == bindparam("org"), _a.id == bindparam("app_id"))
    .values(deleted_at=bindparam("deleted_at"), purge_at=bindparam("purge_at"), updated_at=func.now())
)
APPS_OF_PROJECT = statement(
    _APP.where(_a.project_id == bindparam("project_id"), _a.deleted_at.is_(None)).order_by(_a.id).limit(1000), AppRow
)
ENVIRONMENTS_OF_PROJECT = statement(
    _ENVIRONMENT.where(_e.project_id == bindparam("project_id"), _e.deleted_at.is_(None)).order_by(_e.id).limit(1000),
    EnvironmentRow,
)

ADD_APP_ENVIRONMENT = command(
    app_environments.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), project_id=bindparam("project_id"), app_id=bindparam("app_id"),
        environment_id=bindparam("environment_id"),
    )
)  # fmt: skip
APP_ENVIRONMENT = statement(_AEV.where(_x.id == bindparam("app_environment_id"), _ALIVE), AppEnvironmentRow)
ANY_APP_ENVIRONMENT = statement(_AEV.where(_x.id == bindparam("app_environment_id")), AppEnvironmentRow)
ALIVE_APP_ENVIRONMENT_FOR_UPDATE = statement(
    _AEV.where(_x.id == bindparam("app_environment_id"), _ALIVE).with_for_update(of=app_environments, key_share=True),
    AppEnvironmentRow,
)
APP_ENVIRONMENT_FOR_UPDATE = statement(
    _AEV.where(_x.id == bindparam("app_environment_id")).with_for_update(of=app_environments, key_share=True),
    AppEnvironmentRow,
)
APP_ENVIRONMENT_OF_PAIR = statement(
    _AEV.where(_x.app_id == bindparam("app_id"), _x.environment_id == bindparam("environment_id"), _ALIVE),
    AppEnvironmentRow,
)
APP_ENVIRONMENTS = statement(
    _AEV.where(
        _ALIVE,
        _x.id < bindparam("after"),
        or_(bindparam("app_id", type_=Uuid).is_(None), _x.app_id == bindparam("app_id")),
        or_(bindparam("environment_id", type_=Uuid).is_(None), _x.environment_id == bindparam("environment_id")),
        or_(bindparam("project_id", type_=Uuid).is_(None), _x.project_id == bindparam("project_id")),
    )
    .order_by(_x.id.desc())
    .limit(_LIMIT),
    AppEnvironmentRow,
)
APP_ENVIRONMENTS_UNDER = statement(
    select(_x.id)
    .where(
        _x.org_id == bindparam("org_id"),
        _ALIVE,
        or_(
            _x.app_id == bindparam("parent"),
            _x.environment_id == bindparam("parent"),
            _x.project_id == bindparam("parent"),
        ),
    )
    .limit(5000),
    Id,
)
PAIRS_UNDER = statement(
    select(_x.app_id, _x.environment_id)
    .where(
        _x.org_id == bindparam("org_id"),
        or_(_x.app_id == bindparam("parent"), _x.environment_id == bindparam("parent")),
    )
    .limit(5000),
    PairRow,
)
MARK_APP_ENVIRONMENTS = command(
    app_environments.update()
    .where(
        _x.org_id == bindparam("org"),
        _ALIVE,
        or_(
            _x.app_id == bindparam("parent"),
            _x.environment_id == bindparam("parent"),
            _x.project_id == bindparam("parent"),
        ),
    )
    .values(deleted_at=func.now(), updated_at=func.now())
)
REVIVE_APP_ENVIRONMENTS = statement(
    app_environments.update()
    .where(
        _x.org_id == bindparam("org"),
        _x.deleted_at.is_not(None),
        or_(
            _x.app_id == bindparam("parent"),
            _x.environment_id == bindparam("parent"),
            _x.project_id == bindparam("parent"),
        ),
        # Only pairs whose app, environment and project are all there again.
        _x.app_id.in_(select(_a.id).where(_a.org_id == bindparam("org"), _a.deleted_at.is_(None))),
        _x.environment_id.in_(select(_e.id).where(_e.org_id == bindparam("org"), _e.deleted_at.is_(None))),
        _x.project_id.in_(select(_p.id).where(_p.org_id == bindparam("org"), _p.deleted_at.is_(None))),
    )
    .values(deleted_at=None, updated_at=func.now())
    .returning(_x.id),
    Id,
)
UPDATE_APP_ENVIRONMENT = command(
    app_environments.update()
    .where(_x.org_id == bindparam("org"), _x.id == bindparam("app_environment_id"))
    .values(
        scale=bindparam("scale", type_=JSONB), overlap_policy=bindparam("overlap_policy"),
        watch_window_s=bindparam("watch_window_s"), auto_rollback=bindparam("auto_rollback"),
        auto_deploy_paused=bindparam("auto_deploy_paused"), updated_at=func.now(),
    )
)  # fmt: skip
ALL_ENVIRONMENTS_OF_PROJECT = statement(
    _ENVIRONMENT.where(_e.project_id == bindparam("project_id")).order_by(_e.id).limit(1000), EnvironmentRow
)

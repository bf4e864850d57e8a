"""Every statement about projects, environments, apps and app environments."""

from __future__ import annotations

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from kovra.features.projects.queries import selects
from kovra.features.projects.queries.purging import (
    ALL_APPS_OF_PROJECT,
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
from kovra.models.projects import app_environments, apps, environments, projects

__all__ = [
    "ADD_APP",
    "ADD_APP_ENVIRONMENT",
    "ADD_ENVIRONMENT",
    "ADD_PROJECT",
    "ALIVE_APP_ENVIRONMENT_FOR_UPDATE",
    "ALL_APPS_OF_PROJECT",
    "ALL_ENVIRONMENTS_OF_PROJECT",
    "ANY_APP_ENVIRONMENT",
    "ANY_APP_ENVIRONMENTS_UNDER",
    "APP",
    "APPS_OF_PROJECT",
    "APP_DELETED_FOR_UPDATE",
    "APP_ENVIRONMENT",
    "APP_ENVIRONMENTS_UNDER",
    "APP_ENVIRONMENT_FOR_UPDATE",
    "APP_FOR_UPDATE",
    "ENVIRONMENT",
    "ENVIRONMENTS_OF_PROJECT",
    "ENVIRONMENT_DELETED_FOR_UPDATE",
    "ENVIRONMENT_FOR_UPDATE",
    "ENVIRONMENT_NAMED",
    "MARK_APP",
    "MARK_APP_ENVIRONMENTS",
    "MARK_ENVIRONMENT",
    "MARK_PROJECT",
    "PAIRS_UNDER",
    "PAIR_FOR_UPDATE",
    "PROJECT",
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

_p, _e, _a, _x = projects.c, environments.c, apps.c, app_environments.c


PROJECT = statement(selects.PROJECT.where(_p.id == bindparam("project_id"), _p.deleted_at.is_(None)), ProjectRow)
PROJECT_FOR_UPDATE = statement(
    selects.PROJECT.where(_p.id == bindparam("project_id"), _p.deleted_at.is_(None)).with_for_update(key_share=True),
    ProjectRow,
)
PROJECT_DELETED_FOR_UPDATE = statement(
    selects.PROJECT.where(_p.id == bindparam("project_id"), _p.deleted_at.is_not(None)).with_for_update(key_share=True),
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
    selects.PROJECT.where(_p.deleted_at.is_(None), or_(_p.id == bindparam("id"), _p.slug == bindparam("slug"))),
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
    selects.ENVIRONMENT.where(_e.id == bindparam("environment_id"), _e.deleted_at.is_(None)), EnvironmentRow
)
ENVIRONMENT_FOR_UPDATE = statement(
    selects.ENVIRONMENT.where(_e.id == bindparam("environment_id"), _e.deleted_at.is_(None)).with_for_update(
        key_share=True
    ),
    EnvironmentRow,
)
ENVIRONMENT_DELETED_FOR_UPDATE = statement(
    selects.ENVIRONMENT.where(_e.id == bindparam("environment_id"), _e.deleted_at.is_not(None)).with_for_update(
        key_share=True
    ),
    EnvironmentRow,
)
ENVIRONMENT_NAMED = statement(
    selects.ENVIRONMENT.where(
        _e.deleted_at.is_(None),
        _e.project_id == bindparam("project_id"),
        or_(_e.id == bindparam("id"), _e.slug == bindparam("slug")),
    ),
    EnvironmentRow,
)
ADD_ENVIRONMENT = command(
    environments.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), project_id=bindparam("project_id"), name=bindparam("name"),
        slug=bindparam("slug"), kind=bindparam("kind"), protected=bindparam("protected"),
        delete_protected=bindparam("delete_protected"), overlap_policy=bindparam("overlap_policy"),
        cluster_id=bindparam("cluster_id"),
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

APP = statement(selects.APP.where(_a.id == bindparam("app_id"), _a.deleted_at.is_(None)), AppRow)
APP_FOR_UPDATE = statement(
    selects.APP.where(_a.id == bindparam("app_id"), _a.deleted_at.is_(None)).with_for_update(key_share=True), AppRow
)
APP_DELETED_FOR_UPDATE = statement(
    selects.APP.where(_a.id == bindparam("app_id"), _a.deleted_at.is_not(None)).with_for_update(key_share=True), AppRow
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
    selects.APP.where(_a.project_id == bindparam("project_id"), _a.deleted_at.is_(None)).order_by(_a.id).limit(1000),
    AppRow,
)
ENVIRONMENTS_OF_PROJECT = statement(
    selects.ENVIRONMENT.where(_e.project_id == bindparam("project_id"), _e.deleted_at.is_(None))
    .order_by(_e.id)
    .limit(1000),
    EnvironmentRow,
)

ADD_APP_ENVIRONMENT = command(
    app_environments.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), project_id=bindparam("project_id"), app_id=bindparam("app_id"),
        environment_id=bindparam("environment_id"),
    )
)  # fmt: skip
APP_ENVIRONMENT = statement(
    selects.APP_ENVIRONMENT.where(_x.id == bindparam("app_environment_id"), selects.ALIVE), AppEnvironmentRow
)
ANY_APP_ENVIRONMENT = statement(
    selects.APP_ENVIRONMENT.where(_x.id == bindparam("app_environment_id")), AppEnvironmentRow
)
ALIVE_APP_ENVIRONMENT_FOR_UPDATE = statement(
    selects.APP_ENVIRONMENT.where(_x.id == bindparam("app_environment_id"), selects.ALIVE).with_for_update(
        of=app_environments, key_share=True
    ),
    AppEnvironmentRow,
)
APP_ENVIRONMENT_FOR_UPDATE = statement(
    selects.APP_ENVIRONMENT.where(_x.id == bindparam("app_environment_id")).with_for_update(
        of=app_environments, key_share=True
    ),
    AppEnvironmentRow,
)
PAIR_FOR_UPDATE = statement(
    selects.APP_ENVIRONMENT.where(
        _x.app_id == bindparam("app_id"),
        or_(_e.id == bindparam("id"), _e.slug == bindparam("slug")),
        selects.ALIVE,
        _a.deleted_at.is_(None),
    ).with_for_update(of=app_environments, key_share=True),
    AppEnvironmentRow,
)
APP_ENVIRONMENTS_UNDER = statement(
    select(_x.id)
    .where(
        _x.org_id == bindparam("org_id"),
        selects.ALIVE,
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
        selects.ALIVE,
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
        auto_deploy_paused=bindparam("auto_deploy_paused"), drift_policy=bindparam("drift_policy"),
        exposure=bindparam("exposure"), egress=bindparam("egress"),
        maintenance=bindparam("maintenance"), rollout=bindparam("rollout", type_=JSONB),
        updated_at=func.now(),
    )
)  # fmt: skip
ALL_ENVIRONMENTS_OF_PROJECT = statement(
    selects.ENVIRONMENT.where(_e.project_id == bindparam("project_id")).order_by(_e.id).limit(1000), EnvironmentRow
)

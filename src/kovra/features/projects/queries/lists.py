"""The lists of projects, environments, apps and app environments; and parents by their ids, for embedding."""

from __future__ import annotations

from sqlalchemy import ARRAY, Uuid, bindparam, func, or_
from sqlalchemy import Text as SqlText

from kovra.features.projects.queries import selects
from kovra.features.projects.queries.rows import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.foundation.db.pages import Listing, named
from kovra.foundation.db.statements import statement
from kovra.models.projects import app_environments, apps, environments, projects

_p, _e, _a, _x = projects.c, environments.c, apps.c, app_environments.c
_slug = bindparam("slug", type_=SqlText)
_ids = func.any(bindparam("ids", type_=ARRAY(Uuid)))

PROJECTS = Listing(
    selects.PROJECT.where(_p.deleted_at.is_(None), or_(_slug.is_(None), _p.slug == _slug)),
    ProjectRow,
    key=_p.id,
    by={"name": _p.name, "slug": _p.slug},
)
ENVIRONMENTS = Listing(
    selects.ENVIRONMENT.where(
        _e.deleted_at.is_(None), named("project", _e.project_id, projects), or_(_slug.is_(None), _e.slug == _slug)
    ),
    EnvironmentRow,
    key=_e.id,
    by={"name": _e.name, "slug": _e.slug},
)
APPS = Listing(
    selects.APP.where(
        _a.deleted_at.is_(None), named("project", _a.project_id, projects), or_(_slug.is_(None), _a.slug == _slug)
    ),
    AppRow,
    key=_a.id,
    by={"name": _a.name, "slug": _a.slug},
)
APP_ENVIRONMENTS = Listing(
    selects.APP_ENVIRONMENT.where(
        selects.ALIVE,
        named("app", _x.app_id, apps),
        named("environment", _x.environment_id, environments),
        named("project", _x.project_id, projects),
    ),
    AppEnvironmentRow,
    key=_x.id,
    by={},
)
APP_ENVIRONMENTS_OF_PLACE = statement(
    selects.APP_ENVIRONMENT.where(
        selects.ALIVE,
        *(
            or_(bindparam(name, type_=Uuid).is_(None), _x[name] == bindparam(name))
            for name in ("project_id", "app_id", "environment_id")
        ),
    )
    .order_by(_x.id.desc())
    .limit(200),
    AppEnvironmentRow,
)

PROJECTS_BY_ID = statement(selects.PROJECT.where(_p.id == _ids), ProjectRow)
ENVIRONMENTS_BY_ID = statement(selects.ENVIRONMENT.where(_e.id == _ids), EnvironmentRow)
APPS_BY_ID = statement(selects.APP.where(_a.id == _ids), AppRow)
APP_ENVIRONMENTS_BY_ID = statement(selects.APP_ENVIRONMENT.where(_x.id == _ids), AppEnvironmentRow)

"""What removes rows for good, from the bottom up; the locks are taken from the top down all the same."""

from __future__ import annotations

from sqlalchemy import bindparam, or_, select

from kovra.features.projects.queries.rows import Id
from kovra.foundation.db.statements import command, statement
from kovra.models.identity import api_tokens
from kovra.models.projects import app_environments, apps, environments, projects
from kovra.models.secrets import config_revisions, secret_versions

_p, _e, _a, _x = projects.c, environments.c, apps.c, app_environments.c

PURGE_CONFIG = command(
    config_revisions.delete().where(
        config_revisions.c.org_id == bindparam("org"), config_revisions.c.app_environment_id == bindparam("aev")
    )
)
PURGE_SECRETS = command(
    secret_versions.delete().where(
        secret_versions.c.org_id == bindparam("org"), secret_versions.c.app_environment_id == bindparam("aev")
    )
)
ANY_APP_ENVIRONMENTS_UNDER = statement(
    select(_x.id)
    .where(
        _x.org_id == bindparam("org_id"),
        or_(
            _x.app_id == bindparam("parent"),
            _x.environment_id == bindparam("parent"),
            _x.project_id == bindparam("parent"),
        ),
    )
    .order_by(_x.id)
    .limit(5000)
    # Before the rows below them are deleted; deleting takes the whole lock anyway.
    .with_for_update(),
    Id,
)
ALL_APPS_OF_PROJECT = statement(
    select(_a.id).where(_a.org_id == bindparam("org_id"), _a.project_id == bindparam("project_id")).limit(1000), Id
)
# A token narrowed to something that is purged can reach nothing any more; it goes with it.
REVOKE_TOKENS_OF = command(
    api_tokens.delete().where(
        api_tokens.c.org_id == bindparam("org"),
        or_(
            api_tokens.c.project_id == bindparam("parent"),
            api_tokens.c.app_id == bindparam("parent"),
            api_tokens.c.environment_id == bindparam("parent"),
            api_tokens.c.app_id.in_(
                select(_a.id).where(_a.org_id == bindparam("org"), _a.project_id == bindparam("parent"))
            ),
            api_tokens.c.environment_id.in_(
                select(_e.id).where(_e.org_id == bindparam("org"), _e.project_id == bindparam("parent"))
            ),
        ),
    )
)
PURGE_ENVIRONMENT = command(
    environments.delete().where(_e.org_id == bindparam("org"), _e.id == bindparam("environment_id"))
)
PURGE_ENVIRONMENTS_OF = command(
    environments.delete().where(_e.org_id == bindparam("org"), _e.project_id == bindparam("project_id"))
)
PURGE_APP = command(apps.delete().where(_a.org_id == bindparam("org"), _a.id == bindparam("app_id")))
PURGE_APPS_OF = command(apps.delete().where(_a.org_id == bindparam("org"), _a.project_id == bindparam("project_id")))
PURGE_PROJECT = command(projects.delete().where(_p.org_id == bindparam("org"), _p.id == bindparam("project_id")))

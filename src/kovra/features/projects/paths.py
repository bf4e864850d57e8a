"""Path ids become rows of this organization, or 404."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from kovra.features.projects import queries
from kovra.features.projects.queries import AppEnvironmentRow, AppRow, EnvironmentRow, ProjectRow
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.sessions import Session


async def _project(project_id: str, session: Session) -> ProjectRow:
    return await session.one(queries.PROJECT, org_id=session.org_id, project_id=path_id("prj", project_id))


async def _environment(environment_id: str, session: Session) -> EnvironmentRow:
    return await session.one(queries.ENVIRONMENT, org_id=session.org_id, environment_id=path_id("env", environment_id))


async def _app(app_id: str, session: Session) -> AppRow:
    return await session.one(queries.APP, org_id=session.org_id, app_id=path_id("app", app_id))


async def _app_environment(app_environment_id: str, session: Session) -> AppEnvironmentRow:
    return await session.one(
        queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=path_id("aev", app_environment_id)
    )


CurrentProject = Annotated[ProjectRow, Depends(_project)]
CurrentEnvironment = Annotated[EnvironmentRow, Depends(_environment)]
CurrentApp = Annotated[AppRow, Depends(_app)]
CurrentAppEnvironment = Annotated[AppEnvironmentRow, Depends(_app_environment)]

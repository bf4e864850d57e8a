"""Operations of app environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class AppEnvironments(Session):
    """An app in an environment."""

    def get_app_environment(
        self,
        app_environment_id: str,
        *,
        include: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppEnvironmentOut:
        """One app in one environment: its address, scale, current release and health. Needs `apps:read`."""
        query = {"include": include}
        headers = {"If-None-Match": if_none_match}
        found: models.AppEnvironmentOut = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def list_app_environments(
        self,
        *,
        app: str | None = None,
        environment: str | None = None,
        project: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        include: str | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfAppEnvironmentOut:
        """Apps in environments, newest first unless `sort` says otherwise. Needs `apps:read`."""
        query = {
            "app": app,
            "environment": environment,
            "project": project,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "include": include,
        }
        found: models.ListOfAppEnvironmentOut = self.call("GET", "/v1/app-environments", query=query, answered=answered)
        return found

    def iter_app_environments(
        self,
        *,
        app: str | None = None,
        environment: str | None = None,
        project: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        include: str | None = None,
    ) -> Iterator[models.AppEnvironmentOut]:
        """Each of `list_app_environments`, page by page."""
        query = {
            "app": app,
            "environment": environment,
            "project": project,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "include": include,
        }
        return self.each("/v1/app-environments", "cursor", query)

    def update_app_environment(
        self,
        app_environment_id: str,
        body: models.AppEnvironmentPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppEnvironmentOut:
        """Change scale, overlap policy, watch window, automatic rollback, or who reaches it. Needs `apps:update`."""
        headers = {"If-Match": if_match}
        found: models.AppEnvironmentOut = self.call(
            "PATCH",
            f"/v1/app-environments/{segment(app_environment_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

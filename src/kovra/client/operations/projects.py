"""Operations of projects. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Projects(Session):
    """Projects group apps and environments."""

    def create_project(
        self,
        body: models.ProjectIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.ProjectOut:
        """Make a project; it starts with one environment, production. Needs `projects:create`."""
        found: models.ProjectOut = self.call("POST", "/v1/projects", body, key=idempotency_key, answered=answered)
        return found

    def delete_project(
        self,
        project_id: str,
        *,
        cascade: str | None = None,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.ProjectOut:
        """Delete a project; it can be restored until `purge_at`. Needs `projects:delete`."""
        query = {"cascade": cascade}
        found: models.ProjectOut = self.call(
            "DELETE",
            f"/v1/projects/{segment(project_id)}",
            query=query,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_project(
        self,
        project_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ProjectOut:
        """One project. Needs `projects:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.ProjectOut = self.call(
            "GET",
            f"/v1/projects/{segment(project_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_projects(
        self,
        *,
        slug: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListProjectsSort | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfProjectOut:
        """Projects, newest first unless `sort` says otherwise. Needs `projects:read`."""
        query = {"slug": slug, "limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfProjectOut = self.call("GET", "/v1/projects", query=query, answered=answered)
        return found

    def iter_projects(
        self,
        *,
        slug: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListProjectsSort | None = None,
    ) -> Iterator[models.ProjectOut]:
        """Each of `list_projects`, page by page."""
        query = {"slug": slug, "limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/projects", "cursor", query)

    def restore_project(
        self,
        project_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.ProjectOut:
        """Undo a deletion; what was live comes back. Needs `projects:delete`."""
        found: models.ProjectOut = self.call(
            "POST",
            f"/v1/projects/{segment(project_id)}/actions/restore",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def update_project(
        self,
        project_id: str,
        body: models.ProjectPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ProjectOut:
        """Change a project. Needs `projects:update`."""
        headers = {"If-Match": if_match}
        found: models.ProjectOut = self.call(
            "PATCH",
            f"/v1/projects/{segment(project_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

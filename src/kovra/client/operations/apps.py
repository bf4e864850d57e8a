"""Operations of apps. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Apps(Session):
    """What can be deployed."""

    def create_app(
        self,
        body: models.AppIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppOut:
        """Make an app; it gets its place in every environment of the project. Needs `apps:create`."""
        found: models.AppOut = self.call("POST", "/v1/apps", body, key=idempotency_key, answered=answered)
        return found

    def delete_app(
        self,
        app_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppOut:
        """Delete an app; what it runs stops at once, and it can be restored until `purge_at`. Needs `apps:delete`."""
        found: models.AppOut = self.call(
            "DELETE",
            f"/v1/apps/{segment(app_id)}",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_app(
        self,
        app_id: str,
        *,
        include: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppOut:
        """One app. One round trip, unless parents are embedded. Needs `apps:read`."""
        query = {"include": include}
        headers = {"If-None-Match": if_none_match}
        found: models.AppOut = self.call(
            "GET",
            f"/v1/apps/{segment(app_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def list_apps(
        self,
        *,
        project: str | None = None,
        slug: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListAppsSort | None = None,
        include: str | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfAppOut:
        """Apps, newest first unless `sort` says otherwise. Newest first is one round trip: dashboards poll it. Needs
        `apps:read`.
        """
        query = {"project": project, "slug": slug, "limit": limit, "cursor": cursor, "sort": sort, "include": include}
        found: models.ListOfAppOut = self.call("GET", "/v1/apps", query=query, answered=answered)
        return found

    def iter_apps(
        self,
        *,
        project: str | None = None,
        slug: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListAppsSort | None = None,
        include: str | None = None,
    ) -> Iterator[models.AppOut]:
        """Each of `list_apps`, page by page."""
        query = {"project": project, "slug": slug, "limit": limit, "cursor": cursor, "sort": sort, "include": include}
        return self.each("/v1/apps", "cursor", query)

    def restore_app(
        self,
        app_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppOut:
        """Undo a deletion; what was live comes back. Needs `apps:delete`."""
        found: models.AppOut = self.call(
            "POST",
            f"/v1/apps/{segment(app_id)}/actions/restore",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def update_app(
        self,
        app_id: str,
        body: models.AppPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.AppOut:
        """Change an app; it takes effect with the next deployment. Needs `apps:update`."""
        headers = {"If-Match": if_match}
        found: models.AppOut = self.call(
            "PATCH",
            f"/v1/apps/{segment(app_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

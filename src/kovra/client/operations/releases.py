"""Operations of releases. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Releases(Session):
    """What has been live, or could be."""

    def get_release(
        self,
        release_id: str,
        *,
        include: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ReleaseOut:
        """One release, and whether it can be rolled back to. Needs `deployments:read`."""
        query = {"include": include}
        headers = {"If-None-Match": if_none_match}
        found: models.ReleaseOut = self.call(
            "GET",
            f"/v1/releases/{segment(release_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def list_releases(
        self,
        *,
        app_environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        include: str | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfReleaseOut:
        """Releases, newest first unless `sort` says otherwise. Needs `deployments:read`."""
        query = {"app_environment": app_environment, "limit": limit, "cursor": cursor, "sort": sort, "include": include}
        found: models.ListOfReleaseOut = self.call("GET", "/v1/releases", query=query, answered=answered)
        return found

    def iter_releases(
        self,
        *,
        app_environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        include: str | None = None,
    ) -> Iterator[models.ReleaseOut]:
        """Each of `list_releases`, page by page."""
        query = {"app_environment": app_environment, "limit": limit, "cursor": cursor, "sort": sort, "include": include}
        return self.each("/v1/releases", "cursor", query)

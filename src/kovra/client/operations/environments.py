"""Operations of environments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Environments(Session):
    """Places apps run in."""

    def create_environment(
        self,
        body: models.EnvironmentIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.EnvironmentOut:
        """Make an environment; every app of the project gets its place in it. Needs `environments:create`."""
        found: models.EnvironmentOut = self.call(
            "POST",
            "/v1/environments",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def delete_environment(
        self,
        environment_id: str,
        *,
        cascade: str | None = None,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.EnvironmentOut:
        """Delete an environment; it can be restored until `purge_at`. Needs `environments:delete`."""
        query = {"cascade": cascade}
        found: models.EnvironmentOut = self.call(
            "DELETE",
            f"/v1/environments/{segment(environment_id)}",
            query=query,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_environment(
        self,
        environment_id: str,
        *,
        include: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.EnvironmentOut:
        """One environment. Needs `environments:read`."""
        query = {"include": include}
        headers = {"If-None-Match": if_none_match}
        found: models.EnvironmentOut = self.call(
            "GET",
            f"/v1/environments/{segment(environment_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def get_environment_usage(
        self,
        environment_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.EnvironmentUsageOut:
        """What the plan lets an environment use, and what everything in it needs at most. Needs `environments:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.EnvironmentUsageOut = self.call(
            "GET",
            f"/v1/environments/{segment(environment_id)}/usage",
            headers=headers,
            answered=answered,
        )
        return found

    def list_environments(
        self,
        *,
        project: str | None = None,
        slug: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListEnvironmentsSort | None = None,
        include: str | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfEnvironmentOut:
        """Environments, newest first unless `sort` says otherwise. Needs `environments:read`."""
        query = {"project": project, "slug": slug, "limit": limit, "cursor": cursor, "sort": sort, "include": include}
        found: models.ListOfEnvironmentOut = self.call("GET", "/v1/environments", query=query, answered=answered)
        return found

    def iter_environments(
        self,
        *,
        project: str | None = None,
        slug: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListEnvironmentsSort | None = None,
        include: str | None = None,
    ) -> Iterator[models.EnvironmentOut]:
        """Each of `list_environments`, page by page."""
        query = {"project": project, "slug": slug, "limit": limit, "cursor": cursor, "sort": sort, "include": include}
        return self.each("/v1/environments", "cursor", query)

    def restore_environment(
        self,
        environment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.EnvironmentOut:
        """Undo a deletion; what was live comes back. Needs `environments:delete`."""
        found: models.EnvironmentOut = self.call(
            "POST",
            f"/v1/environments/{segment(environment_id)}/actions/restore",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def update_environment(
        self,
        environment_id: str,
        body: models.EnvironmentPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.EnvironmentOut:
        """Change an environment. Needs `environments:update`."""
        headers = {"If-Match": if_match}
        found: models.EnvironmentOut = self.call(
            "PATCH",
            f"/v1/environments/{segment(environment_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

"""Operations of volumes. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Volumes(Session):
    """Disks of single instances."""

    def get_volume(
        self,
        volume_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.VolumeOut:
        """One volume. Needs `apps:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.VolumeOut = self.call(
            "GET",
            f"/v1/volumes/{segment(volume_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_volumes(
        self,
        *,
        app_environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfVolumeOut:
        """Volumes, newest first unless `sort` says otherwise; also those that nothing mounts any more. Needs
        `apps:read`.
        """
        query = {"app_environment": app_environment, "limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfVolumeOut = self.call("GET", "/v1/volumes", query=query, answered=answered)
        return found

    def iter_volumes(
        self,
        *,
        app_environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.VolumeOut]:
        """Each of `list_volumes`, page by page."""
        query = {"app_environment": app_environment, "limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/volumes", "cursor", query)

    def remove_volume(
        self,
        volume_id: str,
        *,
        confirm: str | None = None,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.VolumeOut:
        """Remove a volume that nothing mounts, and what is in it for good: there is no backup and no undo. Needs
        `apps:delete`.
        """
        query = {"confirm": confirm}
        found: models.VolumeOut = self.call(
            "DELETE",
            f"/v1/volumes/{segment(volume_id)}",
            query=query,
            key=idempotency_key,
            answered=answered,
        )
        return found

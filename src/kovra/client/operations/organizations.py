"""Operations of organizations. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session

if TYPE_CHECKING:
    from kovra.client import models


class Organizations(Session):
    """The organization a credential opens, and its keys."""

    def create_organization(
        self,
        body: models.OrganizationIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.OrganizationRef:
        """Make another organization, as its owner; switch to it to work in it."""
        found: models.OrganizationRef = self.call(
            "POST",
            "/v1/organizations",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_encryption(
        self,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.EncryptionOut:
        """The organization's key versions, how many values need each, and how far re-sealing is. Needs `keys:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.EncryptionOut = self.call(
            "GET",
            "/v1/organization/encryption",
            headers=headers,
            answered=answered,
        )
        return found

    def get_organization(
        self,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.OrganizationOut:
        """The organization this credential opens. Needs `organizations:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.OrganizationOut = self.call("GET", "/v1/organization", headers=headers, answered=answered)
        return found

    def list_organizations(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfOrganizationRef:
        """The organizations of the caller; an api token is in one, without a role."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfOrganizationRef = self.call("GET", "/v1/organizations", query=query, answered=answered)
        return found

    def iter_organizations(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.OrganizationRef]:
        """Each of `list_organizations`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/organizations", "cursor", query)

    def rotate_encryption(
        self,
        body: models.RotateIn | None = None,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.EncryptionOut:
        """Turn the organization's key: new values use the new version at once, old ones are re-sealed in the
        background.

        While an earlier rotation of the same key is still being re-sealed: 409 `rotation_running`. Needs
        `keys:rotate`.
        """
        found: models.EncryptionOut = self.call(
            "POST",
            "/v1/organization/encryption/actions/rotate",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def update_organization(
        self,
        body: models.OrganizationPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.OrganizationOut:
        """Give the organization another name or slug. Needs `organizations:update`."""
        headers = {"If-Match": if_match}
        found: models.OrganizationOut = self.call(
            "PATCH",
            "/v1/organization",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

"""Operations of registries. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Registries(Session):
    """The organization's credentials for private registries."""

    def create_registry_credential(
        self,
        body: models.RegistryCredentialIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.RegistryCredentialOut:
        """Store a credential for a private registry. Deployments of images from there use it from now on. Needs
        `registries:manage`.
        """
        found: models.RegistryCredentialOut = self.call(
            "POST",
            "/v1/registry-credentials",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_registry_credential(
        self,
        credential_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.RegistryCredentialOut:
        """One credential, without its password. Needs `registries:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.RegistryCredentialOut = self.call(
            "GET",
            f"/v1/registry-credentials/{segment(credential_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_registry_credentials(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at", "-registry", "registry"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfRegistryCredentialOut:
        """For which private registries the organization has a credential; never a password. Needs `registries:read`."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfRegistryCredentialOut = self.call(
            "GET",
            "/v1/registry-credentials",
            query=query,
            answered=answered,
        )
        return found

    def iter_registry_credentials(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at", "-registry", "registry"] | None = None,
    ) -> Iterator[models.RegistryCredentialOut]:
        """Each of `list_registry_credentials`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/registry-credentials", "cursor", query)

    def remove_registry_credential(
        self,
        credential_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> None:
        """Forget a credential. What runs goes on running; the next deployment asks the registry without it. Needs
        `registries:manage`.
        """
        self.call(
            "DELETE",
            f"/v1/registry-credentials/{segment(credential_id)}",
            key=idempotency_key,
            answered=answered,
        )

    def update_registry_credential(
        self,
        credential_id: str,
        body: models.RegistryCredentialPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.RegistryCredentialOut:
        """Change user name or password, or the role. The next deployment or restart uses them; what runs is left alone,
        but for pull Secrets of a role, which get a password of the new one. Needs `registries:manage`.
        """
        headers = {"If-Match": if_match}
        found: models.RegistryCredentialOut = self.call(
            "PATCH",
            f"/v1/registry-credentials/{segment(credential_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

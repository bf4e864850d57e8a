"""Operations of secrets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Secrets(Session):
    """Secrets: sealed for the worker alone; nobody reads them back."""

    def list_secret_versions(
        self,
        app_environment_id: str,
        name: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfSecretOut:
        """The versions of one secret, newest first unless `sort` says otherwise. Needs `secrets:read`."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfSecretOut = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}/secrets/{segment(name)}/versions",
            query=query,
            answered=answered,
        )
        return found

    def iter_secret_versions(
        self,
        app_environment_id: str,
        name: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.SecretOut]:
        """Each of `list_secret_versions`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each(
            f"/v1/app-environments/{segment(app_environment_id)}/secrets/{segment(name)}/versions",
            "cursor",
            query,
        )

    def list_secrets(
        self,
        app_environment_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.SecretsOut:
        """Names, versions and keyed digests; never a value. Needs `secrets:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.SecretsOut = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}/secrets",
            headers=headers,
            answered=answered,
        )
        return found

    def update_secrets(
        self,
        app_environment_id: str,
        body: models.SecretsIn,
        *,
        deploy: bool | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ConfigOut | models.DeploymentOut:
        """Set secrets; null removes. Sealed on receipt for the worker alone; nobody reads them back. Needs
        `secrets:write`.
        """
        query = {"deploy": deploy}
        headers = {"If-Match": if_match}
        found: models.ConfigOut | models.DeploymentOut = self.call(
            "PATCH",
            f"/v1/app-environments/{segment(app_environment_id)}/secrets",
            body,
            query=query,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

"""Operations of config. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Config(Session):
    """Config vars: sealed, and readable with the right to."""

    def get_config(
        self,
        app_environment_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ConfigOut:
        """The newest config revision. Needs `config:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.ConfigOut = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}/config",
            headers=headers,
            answered=answered,
        )
        return found

    def replace_config(
        self,
        app_environment_id: str,
        body: models.ConfigIn,
        *,
        deploy: bool | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ConfigOut | models.DeploymentOut:
        """Replace all config vars; needs If-Match with the revision that was seen. Needs `config:write`."""
        query = {"deploy": deploy}
        headers = {"If-Match": if_match}
        found: models.ConfigOut | models.DeploymentOut = self.call(
            "PUT",
            f"/v1/app-environments/{segment(app_environment_id)}/config",
            body,
            query=query,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def update_config(
        self,
        app_environment_id: str,
        body: models.ConfigIn,
        *,
        deploy: bool | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ConfigOut | models.DeploymentOut:
        """Change config vars; null removes. Staged until the next deployment, unless `deploy=true`. Needs
        `config:write`.
        """
        query = {"deploy": deploy}
        headers = {"If-Match": if_match}
        found: models.ConfigOut | models.DeploymentOut = self.call(
            "PATCH",
            f"/v1/app-environments/{segment(app_environment_id)}/config",
            body,
            query=query,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

"""Operations of deployments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Deployments(Session):
    """Attempts to make a release live."""

    def cancel_deployment(
        self,
        deployment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Stop a deployment; what served before is put back. Needs `deployments:create`."""
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/deployments/{segment(deployment_id)}/actions/cancel",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def create_deployment(
        self,
        app_id: str,
        body: models.DeploymentIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Deploy an image, or a release's image again. The answer comes at once; wait with `GET …?wait=30`. Needs
        `deployments:create`.
        """
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/apps/{segment(app_id)}/deployments",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_deployment(
        self,
        deployment_id: str,
        *,
        wait: int | None = None,
        until: Literal["terminal"] | None = None,
        include: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """One deployment; with `wait`, at the next change of phase, or at its end, or when the time is over. Needs
        `deployments:read`.
        """
        query = {"wait": wait, "until": until, "include": include}
        headers = {"If-None-Match": if_none_match}
        found: models.DeploymentOut = self.call(
            "GET",
            f"/v1/deployments/{segment(deployment_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def list_deployments(
        self,
        *,
        app: str | None = None,
        environment: str | None = None,
        phase: models.ListDeploymentsPhase | None = None,
        outcome: models.ListDeploymentsOutcome | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        include: str | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfDeploymentOut:
        """Deployments, newest first unless `sort` says otherwise. Needs `deployments:read`."""
        query = {
            "app": app,
            "environment": environment,
            "phase": phase,
            "outcome": outcome,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "include": include,
        }
        found: models.ListOfDeploymentOut = self.call("GET", "/v1/deployments", query=query, answered=answered)
        return found

    def iter_deployments(
        self,
        *,
        app: str | None = None,
        environment: str | None = None,
        phase: models.ListDeploymentsPhase | None = None,
        outcome: models.ListDeploymentsOutcome | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        include: str | None = None,
    ) -> Iterator[models.DeploymentOut]:
        """Each of `list_deployments`, page by page."""
        query = {
            "app": app,
            "environment": environment,
            "phase": phase,
            "outcome": outcome,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "include": include,
        }
        return self.each("/v1/deployments", "cursor", query)

    def promote(
        self,
        deployment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Let a canary take over now, without its further steps; its rollout is judged as every other. Needs
        `deployments:create`.
        """
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/deployments/{segment(deployment_id)}/actions/promote",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def redeploy(
        self,
        deployment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Deploy the same image again, with the newest config. Needs `deployments:create`."""
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/deployments/{segment(deployment_id)}/actions/redeploy",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def restart(
        self,
        app_environment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Replace every instance of what serves, one after the other. Needs `deployments:create`."""
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/app-environments/{segment(app_environment_id)}/actions/restart",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def resume(
        self,
        app_environment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Run the suspended release again. Needs `deployments:create`."""
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/app-environments/{segment(app_environment_id)}/actions/resume",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def roll_back(
        self,
        app_environment_id: str,
        body: models.RollbackIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DiffOut | models.DeploymentOut:
        """Go back to an older release: a new release that copies it. `dry_run` answers what would change. Needs
        `deployments:create`.
        """
        found: models.DiffOut | models.DeploymentOut = self.call(
            "POST",
            f"/v1/app-environments/{segment(app_environment_id)}/actions/rollback",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def scale(
        self,
        app_environment_id: str,
        body: models.ScaleIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Run so many instances of each named process. Needs `deployments:create`."""
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/app-environments/{segment(app_environment_id)}/actions/scale",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def suspend(
        self,
        app_environment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.DeploymentOut:
        """Run nothing until it is resumed. Needs `deployments:create`."""
        found: models.DeploymentOut = self.call(
            "POST",
            f"/v1/app-environments/{segment(app_environment_id)}/actions/suspend",
            key=idempotency_key,
            answered=answered,
        )
        return found

"""Operations of isolation. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Isolation(Session):
    """What the cluster has against what was put there, and what keeps environments apart."""

    def get_drift(
        self,
        app_environment_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.DriftOut:
        """What the cluster has of an app, and of the walls around it, against what Kovra put there. Needs `apps:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.DriftOut = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}/drift",
            headers=headers,
            answered=answered,
        )
        return found

    def get_isolation_proof(
        self,
        isolation_proof_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.IsolationProofOut:
        """A proof; of an environment the newest twenty are kept. Needs `environments:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.IsolationProofOut = self.call(
            "GET",
            f"/v1/isolation-proofs/{segment(isolation_proof_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_isolation(
        self,
        *,
        project: str | None = None,
        environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfIsolationOut:
        """What is enforced for each environment, as it was last seen in the cluster, newest environments first. Needs
        `environments:read`.
        """
        query = {"project": project, "environment": environment, "limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfIsolationOut = self.call("GET", "/v1/isolation", query=query, answered=answered)
        return found

    def iter_isolation(
        self,
        *,
        project: str | None = None,
        environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.IsolationOut]:
        """Each of `list_isolation`, page by page."""
        query = {"project": project, "environment": environment, "limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/isolation", "cursor", query)

    def prove_isolation(
        self,
        environment_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.IsolationProofOut:
        """Run a pod in the environment that tries to connect to what it must not reach, and to DNS; one at a time.
        Needs `environments:update`.
        """
        found: models.IsolationProofOut = self.call(
            "POST",
            f"/v1/environments/{segment(environment_id)}/actions/prove-isolation",
            key=idempotency_key,
            answered=answered,
        )
        return found

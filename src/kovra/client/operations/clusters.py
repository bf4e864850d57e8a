"""Operations of clusters. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Clusters(Session):
    """The organization's own clusters: registered, looked at, and what is wrong with them."""

    def check_cluster(
        self,
        cluster_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.ClusterOut:
        """Look at a cluster now. `checked_at` tells when that was done; a change of health is an event. Needs
        `clusters:manage`.
        """
        found: models.ClusterOut = self.call(
            "POST",
            f"/v1/clusters/{segment(cluster_id)}/actions/check",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_cluster(
        self,
        cluster_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ClusterOut:
        """One cluster: its health, and what the last look found. Needs `clusters:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.ClusterOut = self.call(
            "GET",
            f"/v1/clusters/{segment(cluster_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_clusters(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListClustersSort | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfClusterOut:
        """The organization's own clusters and how they are; whether policies are enforced is told of one alone. Needs
        `clusters:read`.
        """
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfClusterOut = self.call("GET", "/v1/clusters", query=query, answered=answered)
        return found

    def iter_clusters(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListClustersSort | None = None,
    ) -> Iterator[models.ClusterOut]:
        """Each of `list_clusters`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/clusters", "cursor", query)

    def register_cluster(
        self,
        body: models.ClusterIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.ClusterOut:
        """Register a cluster of your own. It is looked at in the background; environments can be placed on it at once,
        unless an owner's consent is needed first. Needs `clusters:manage`.
        """
        found: models.ClusterOut = self.call("POST", "/v1/clusters", body, key=idempotency_key, answered=answered)
        return found

    def remove_cluster(
        self,
        cluster_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> None:
        """Forget a cluster and its credentials. One that environments are on stays: the refusal names them. Needs
        `clusters:manage`.
        """
        self.call("DELETE", f"/v1/clusters/{segment(cluster_id)}", key=idempotency_key, answered=answered)

    def update_cluster(
        self,
        cluster_id: str,
        body: models.ClusterPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ClusterOut:
        """Change a cluster, or replace its credentials. What runs there goes on; the next step uses the new ones. Needs
        `clusters:manage`.
        """
        headers = {"If-Match": if_match}
        found: models.ClusterOut = self.call(
            "PATCH",
            f"/v1/clusters/{segment(cluster_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

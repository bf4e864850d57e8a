"""Shapes of clusters. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class ClusterIn(TypedDict):
    """A cluster to register, by `kubeconfig` or by `eks`."""

    name: str
    """For people to read."""
    slug: NotRequired[str | None]
    """Default: made of the name."""
    kubeconfig: NotRequired[str | None]
    """As text. Of its current context Kovra takes the server, `certificate-authority-data`, and a static `token` or
    client certificate data. Anything that runs a program, reads a file, goes by a proxy or checks no certificate is
    refused. It is sealed, and shown to nobody again.
    """
    eks: NotRequired[EksIn | None]
    """Instead of a kubeconfig."""
    apps_domain: NotRequired[str | None]
    """Apps placed here get names below it, so its wildcard record must lead to this cluster. Default: Kovra's domain."""
    routing: NotRequired[Literal["gateway", "ingress"]]
    """How web processes are routed: by the Gateway API or by Ingress objects."""


class ClusterOut(TypedDict):
    """A cluster without its credentials, which nobody reads back."""

    id: str
    """Its id, for ever."""
    object: Literal["cluster"]
    """What kind of object this is."""
    name: str
    """For people to read."""
    slug: str
    """For people to type; unique among its like."""
    kind: Literal["kubeconfig", "eks"]
    """How it is reached."""
    server: str | None
    """Its API server."""
    eks: EksOut | None
    """Of one that is reached by a role."""
    apps_domain: str | None
    """Apps placed here get names below it, so its wildcard record must lead to this cluster. Default: Kovra's domain."""
    routing: Literal["gateway", "ingress"]
    """How web processes are routed: by the Gateway API or by Ingress objects."""
    health: Literal["unknown", "healthy", "degraded", "unreachable"]
    """By the last look; `degraded`: it answers, and something is missing."""
    health_reason: str | None
    """What is wrong."""
    health_since: str
    """Since when it is so."""
    last_seen_at: str | None
    """When it last answered a look."""
    checked_at: str | None
    """When it was last looked at."""
    username: str | None
    """As whom the cluster knows Kovra."""
    encrypts_secrets: Literal["yes", "no", "unknown"]
    """Envelope encryption of Secrets; only EKS tells."""
    accept_unencrypted_secrets: bool
    """An owner's consent that secrets are written to this cluster although it is not known to encrypt them at rest
    (envelope encryption of Secrets).
    """
    accepted_by: str | None
    """Who consented."""
    report: ReportOut
    """What the last look found."""
    actor: str
    """Who registered or last changed it."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""


class ClusterPatch(TypedDict):
    """What to change of a cluster; new credentials replace the old ones whole."""

    name: NotRequired[str | None]
    """For people to read."""
    kubeconfig: NotRequired[str | None]
    """As text. Of its current context Kovra takes the server, `certificate-authority-data`, and a static `token` or
    client certificate data. Anything that runs a program, reads a file, goes by a proxy or checks no certificate is
    refused. It is sealed, and shown to nobody again.
    """
    role_arn: NotRequired[str | None]
    """Kovra assumes it with the cluster's external id, to find the cluster and make its tokens."""
    apps_domain: NotRequired[str | None]
    """Apps placed here get names below it, so its wildcard record must lead to this cluster. Default: Kovra's domain."""
    routing: NotRequired[Literal["gateway", "ingress"] | None]
    """How web processes are routed: by the Gateway API or by Ingress objects."""
    accept_unencrypted_secrets: NotRequired[bool | None]
    """An owner's consent that secrets are written to this cluster although it is not known to encrypt them at rest
    (envelope encryption of Secrets). Needs clusters:accept_risk.
    """


class EksIn(TypedDict):
    """An EKS cluster by its names."""

    cluster: str
    """Its name."""
    region: str
    """Where it is."""
    role_arn: str
    """Kovra assumes it with the cluster's external id, to find the cluster and make its tokens."""


class EksOut(TypedDict):
    """An EKS cluster's names, and what its role's trust policy must ask for."""

    cluster: str
    """Its name."""
    region: str
    """Where it is."""
    role_arn: str
    """Kovra assumes it with the cluster's external id, to find the cluster and make its tokens."""
    external_id: str
    """Made by Kovra: the trust policy of the role asks for it (`sts:ExternalId`)."""


class ListOfClusterOut(TypedDict):
    """ListOfClusterOut."""

    data: list[ClusterOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class ReportOut(TypedDict):
    """What the last look found."""

    version: str | None
    """Of Kubernetes."""
    missing_rights: list[str]
    """Rights that Kovra needs and does not have there."""
    rights_inside: Literal["held", "role", "nothing"] | None
    """Rights in the namespaces of environments: held everywhere, come by with the role `kovra-tenant-manager` (`kovra
    manifests` writes it), or not at all.
    """
    pod_security: Literal["yes", "no", "unknown"]
    """Whether Pod Security admission refuses what it must."""
    network_policies: Literal["yes", "no", "unknown"]
    """Whether they are enforced: `yes` once a proof of isolation on this cluster found it, `no` if one failed."""
    metrics: Literal["yes", "no", "unknown"]
    """Whether the cluster has the metrics API."""
    gateway_classes: list[str] | None
    """null: none may be read."""
    ingress_classes: list[str] | None
    """null: none may be read."""


ListClustersSort: TypeAlias = Literal["-created_at", "created_at", "-slug", "slug", "-health", "health"]
"""The order; a minus: falling."""

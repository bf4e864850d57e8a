"""Request and response models of clusters."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kovra.features.clusters.queries import ClusterRow
from kovra.foundation.outbound import is_plausible
from kovra.foundation.web.fields import Input, Name, Output, Slug, Time, storable, wire

Health = Literal["unknown", "healthy", "degraded", "unreachable"]
Routing = Literal["gateway", "ingress"]
Answer = Literal["yes", "no", "unknown"]


def _domain(value: str) -> str:
    lowered = value.lower()
    if not is_plausible(lowered) or lowered.replace(".", "").isdecimal() or ":" in lowered or "_" in lowered:
        raise PydanticCustomError("domain_invalid", "A public domain name, please, such as apps.example.com.")
    return lowered


Kubeconfig = Annotated[
    str,
    StringConstraints(min_length=1, max_length=65536),
    AfterValidator(storable),
    Field(json_schema_extra={"writeOnly": True}),
]
Domain = Annotated[str, StringConstraints(min_length=3, max_length=190), AfterValidator(_domain)]
RoleArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws(-[a-z]{2,8}){0,2}:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$")
]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]{2,12}){1,2}-[0-9]{1,2}$")]
EksName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")]
_KUBECONFIG = (
    "As text. Of its current context Kovra takes the server, `certificate-authority-data`, and a static `token` or client "
    "certificate data. Anything that runs a program, reads a file, goes by a proxy or checks no certificate is refused. It "
    "is sealed, and shown to nobody again."
)
_DOMAIN = (
    "Apps placed here get names below it, so its wildcard record must lead to this cluster. Default: Kovra's domain."
)
_ROUTING = "How web processes are routed: by the Gateway API or by Ingress objects."
_CONSENT = (
    "An owner's consent that secrets are written to this cluster although it is not known to encrypt them at rest "
    "(envelope encryption of Secrets)."
)
_ROLE = "Kovra assumes it with the cluster's external id, to find the cluster and make its tokens."
_EXAMPLE = "arn:aws:iam::123456789012:role/kovra"


class EksIn(Input):
    """An EKS cluster by its names."""

    cluster: EksName = Field(examples=["production"], description="Its name.")
    region: Region = Field(examples=["us-east-1"], description="Where it is.")
    role_arn: RoleArn = Field(examples=[_EXAMPLE], description=_ROLE)


class ClusterIn(Input):
    """A cluster to register, by `kubeconfig` or by `eks`."""

    name: Name = Field(examples=["Our own"])
    slug: Slug | None = Field(default=None, examples=["our-own"], description="Default: made of the name.")
    kubeconfig: Kubeconfig | None = Field(default=None, description=_KUBECONFIG)
    eks: EksIn | None = Field(
        default=None,
        examples=[{"cluster": "production", "region": "us-east-1", "role_arn": _EXAMPLE}],
        description="Instead of a kubeconfig.",
    )
    apps_domain: Domain | None = Field(default=None, examples=["apps.example.com"], description=_DOMAIN)
    routing: Routing = Field(default="gateway", description=_ROUTING)

    @model_validator(mode="after")
    def _one_way(self) -> ClusterIn:
        if (self.kubeconfig is None) == (self.eks is None):
            raise PydanticCustomError("one_way_needed", "Give a kubeconfig or an EKS cluster: one of the two.")
        return self


class ClusterPatch(Input):
    """What to change of a cluster; new credentials replace the old ones whole."""

    name: Name | None = Field(default=None, examples=["Our own"])
    kubeconfig: Kubeconfig | None = Field(default=None, description=_KUBECONFIG)
    role_arn: RoleArn | None = Field(default=None, examples=[_EXAMPLE], description=_ROLE)
    apps_domain: Domain | None = Field(default=None, examples=["apps.example.com"], description=_DOMAIN)
    routing: Routing | None = Field(default=None, description=_ROUTING)
    accept_unencrypted_secrets: bool | None = Field(
        default=None, examples=[True], description=f"{_CONSENT} Needs clusters:accept_risk."
    )


class EksOut(Output):
    """An EKS cluster's names, and what its role's trust policy must ask for."""

    cluster: str = Field(description="Its name.")
    region: str = Field(description="Where it is.")
    role_arn: str = Field(description=_ROLE)
    external_id: str = Field(description="Made by Kovra: the trust policy of the role asks for it (`sts:ExternalId`).")


class ReportOut(Output):
    """What the last look found."""

    version: str | None = Field(default=None, examples=["v1.35.0"], description="Of Kubernetes.")
    missing_rights: list[str] = Field(default=[], description="Rights that Kovra needs and does not have there.")
    rights_inside: Literal["held", "role", "nothing"] | None = Field(
        default=None,
        description=(
            "Rights in the namespaces of environments: held everywhere, come by with the role `kovra-tenant-manager` "
            "(`kovra manifests` writes it), or not at all."
        ),
    )
    pod_security: Answer = Field(default="unknown", description="Whether Pod Security admission refuses what it must.")
    network_policies: Answer = Field(
        default="unknown",
        description="Whether they are enforced: `yes` once a proof of isolation on this cluster found it, `no` if one failed.",
    )
    metrics: Answer = Field(default="unknown", description="Whether the cluster has the metrics API.")
    gateway_classes: list[str] | None = Field(default=None, description="null: none may be read.")
    ingress_classes: list[str] | None = Field(default=None, description="null: none may be read.")


class ClusterOut(Output):
    """A cluster without its credentials, which nobody reads back."""

    id: Annotated[UUID, wire("clu")]
    object: Literal["cluster"] = "cluster"
    name: str = Field(examples=["Our own"])
    slug: str = Field(examples=["our-own"])
    kind: Literal["kubeconfig", "eks"] = Field(description="How it is reached.")
    server: str | None = Field(description="Its API server.", examples=["https://k8s.customer.example:6443"])
    eks: EksOut | None = Field(default=None, description="Of one that is reached by a role.")
    apps_domain: str | None = Field(description=_DOMAIN)
    routing: Routing = Field(description=_ROUTING)
    health: Health = Field(description="By the last look; `degraded`: it answers, and something is missing.")
    health_reason: str | None = Field(description="What is wrong.")
    health_since: Time = Field(description="Since when it is so.")
    last_seen_at: Time | None = Field(description="When it last answered a look.")
    checked_at: Time | None = Field(description="When it was last looked at.")
    username: str | None = Field(description="As whom the cluster knows Kovra.")
    encrypts_secrets: Answer = Field(description="Envelope encryption of Secrets; only EKS tells.")
    accept_unencrypted_secrets: bool = Field(description=_CONSENT)
    accepted_by: str | None = Field(description="Who consented.")
    report: ReportOut
    actor: str = Field(description="Who registered or last changed it.")
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, row: ClusterRow, network_policies: Answer = "unknown") -> ClusterOut:
        """The cluster as it is shown."""
        report: dict[str, Any] = {k: v for k, v in row.report.items() if k in ReportOut.model_fields}
        return cls(
            id=row.id, name=row.name, slug=row.slug, kind="eks" if row.kind == "eks" else "kubeconfig", server=row.server,
            eks=_eks(row), apps_domain=row.apps_domain, routing="ingress" if row.routing == "ingress" else "gateway",
            health=_health(row.health), health_reason=row.health_reason, health_since=row.health_since,
            last_seen_at=row.last_seen_at, checked_at=row.checked_at, username=row.username,
            encrypts_secrets=_answer(row.encrypts_secrets), accept_unencrypted_secrets=row.accept_unencrypted_secrets,
            accepted_by=row.accepted_by, report=ReportOut(**{**report, "network_policies": network_policies}),
            actor=row.actor, created_at=row.created_at, updated_at=row.updated_at,
        )  # fmt: skip


def _eks(row: ClusterRow) -> EksOut | None:
    if row.kind != "eks":
        return None
    return EksOut(
        cluster=row.eks_cluster or "", region=row.eks_region or "", role_arn=row.eks_role_arn or "",
        external_id=row.eks_external_id or "",
    )  # fmt: skip


def _health(text: str) -> Health:
    known: dict[str, Health] = {"healthy": "healthy", "degraded": "degraded", "unreachable": "unreachable"}
    return known.get(text, "unknown")


def _answer(text: str) -> Answer:
    known: dict[str, Answer] = {"yes": "yes", "no": "no"}
    return known.get(text, "unknown")

"""Customers' own clusters."""

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Table, UniqueConstraint, func

from kovra.foundation.db.sealed import sealed_column
from kovra.foundation.keyring import Purpose
from kovra.models.metadata import created, document, identity, metadata, moment, number, organization, text, updated


def _now(name: str) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


clusters = Table(
    "clusters",
    metadata,
    identity(),
    organization(),
    text("name"),
    text("slug"),
    text("kind"),
    # Where its API server is; of an EKS cluster, once AWS has told.
    text("server", nullable=True),
    text("eks_cluster", nullable=True),
    text("eks_region", nullable=True),
    text("eks_role_arn", nullable=True),
    text("eks_external_id", nullable=True),
    text("apps_domain", nullable=True),
    text("routing"),
    # Authority, token or client certificate; only the worker opens it.
    *sealed_column("credentials", Purpose.secret, nullable=True),
    # Counts what a client has to be made anew for.
    number("revision", default="1"),
    text("health", default="unknown"),
    text("health_reason", nullable=True),
    _now("health_since"),
    moment("last_seen_at"),
    moment("checked_at"),
    _now("check_due_at"),
    document("report", default="{}"),
    # As whom the cluster knows Kovra.
    text("username", nullable=True),
    text("encrypts_secrets", default="unknown"),
    Column("accept_unencrypted_secrets", Boolean, nullable=False, server_default="false"),
    text("accepted_by", nullable=True),
    text("actor"),
    created(),
    updated(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "slug"),
    CheckConstraint("kind in ('kubeconfig', 'eks')", name="kind"),
    CheckConstraint("routing in ('gateway', 'ingress')", name="routing"),
    CheckConstraint("health in ('unknown', 'healthy', 'degraded', 'unreachable')", name="health"),
    CheckConstraint("encrypts_secrets in ('yes', 'no', 'unknown')", name="encrypts_secrets"),
    CheckConstraint(
        "kind = 'kubeconfig' and credentials is not null and server is not null or kind = 'eks' and eks_cluster is not null"
        " and eks_region is not null and eks_role_arn is not null and eks_external_id is not null",
        name="reached",
    ),
)

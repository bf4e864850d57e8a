"""Registering clusters, changing and forgetting them. No address is called here: looking is a job."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.access import Access
from kovra.features.clusters import queries
from kovra.features.clusters.messages import (
    CheckCluster,
    ClusterRegistered,
    ClusterRemoved,
    ClusterRiskAccepted,
    ClusterRiskRefused,
    ClusterUpdated,
)
from kovra.features.clusters.queries import ClusterRow
from kovra.features.clusters.rules.kubeconfig import packed
from kovra.foundation.access import Permission
from kovra.foundation.db.failures import Duplicate
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, FieldError, Invalid
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, decode, encode, new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import HolderKeys, Place, Purpose

MAX_CLUSTERS: Final = 20
"""Of one organization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCluster:
    """What a cluster starts with: an access by kubeconfig, or the names of an EKS cluster."""

    name: str
    slug: str
    apps_domain: str | None = None
    routing: str = "gateway"
    access: Access | None = None
    eks_cluster: str | None = None
    eks_region: str | None = None
    eks_role_arn: str | None = None


def credentials_place(keys: HolderKeys, cluster_id: UUID) -> Place:
    """Where credentials are sealed to."""
    return Place(holder=keys.holder, table="clusters", row=cluster_id, column="credentials", purpose=Purpose.secret)


async def register(session: TenantSession, store: HolderKeyStore, wanted: NewCluster) -> ClusterRow:
    """Store a cluster and have it looked at; raises Conflict for a taken slug, or where there are too many."""
    if (await session.one(queries.COUNT, org_id=session.org_id)).n >= MAX_CLUSTERS:
        raise Conflict(
            f"The organization has {MAX_CLUSTERS} clusters.", code="too_many_clusters", hint="Remove some first."
        )
    cluster_id = new_id()
    kind = "kubeconfig" if wanted.access is not None else "eks"
    server, sealed, version = await _sealed(session, store, cluster_id, wanted.access)
    try:
        await session.execute(
            queries.ADD, id=cluster_id, org_id=session.org_id, name=wanted.name, slug=wanted.slug, kind=kind, server=server,
            eks_cluster=wanted.eks_cluster, eks_region=wanted.eks_region, eks_role_arn=wanted.eks_role_arn,
            eks_external_id=None if wanted.access is not None else f"kovra-{secrets.token_hex(16)}",
            apps_domain=wanted.apps_domain, routing=wanted.routing, credentials=sealed, credentials_key_version=version,
        )  # fmt: skip
    except Duplicate:
        raise Conflict(
            "There is a cluster with this slug.",
            code="slug_taken",
            hint="Choose another slug.",
            fields=[FieldError(pointer="/slug", code="slug_taken", message="This slug is taken.")],
        ) from None
    record(session, ClusterRegistered(subject_id=cluster_id, slug=wanted.slug, kind=kind))
    enqueue(session, CheckCluster(id=cluster_id))
    return await session.one(queries.CLUSTER, org_id=session.org_id, cluster_id=cluster_id)


async def _sealed(
    session: TenantSession, store: HolderKeyStore, cluster_id: UUID, access: Access | None
) -> tuple[str | None, bytes | None, int | None]:
    if access is None:
        return None, None, None
    keys = await store.of_organization(session)
    made = store.keyring.seal(packed(access), credentials_place(keys, cluster_id), keys)
    return access.server, made.data, made.key_version


async def update(
    session: TenantSession, store: HolderKeyStore, row: ClusterRow, changes: Mapping[str, Any], access: Access | None
) -> ClusterRow:
    """Change a cluster whose row is locked; ``access`` replaces its credentials. Raises Invalid for another kind's field."""
    if access is not None and row.kind != "kubeconfig":
        raise Invalid.field("/kubeconfig", "field_refused", "This cluster is reached by a role, not by a kubeconfig.")
    if "eks_role_arn" in changes and row.kind != "eks":
        raise Invalid.field("/role_arn", "field_refused", "This cluster is reached by a kubeconfig, not by a role.")
    changed = sorted(name for name, value in changes.items() if getattr(row, name) != value)
    changed += ["credentials"] if access is not None else []
    if not changed:
        return row
    known = {name: changes.get(name, getattr(row, name)) for name in ("name", "apps_domain", "routing", "eks_role_arn")}
    await session.execute(queries.UPDATE, org=session.org_id, this=row.id, **known)
    if access is not None:
        server, sealed, version = await _sealed(session, store, row.id, access)
        await session.execute(
            queries.SET_CREDENTIALS, org=session.org_id, this=row.id, server=server, credentials=sealed,
            credentials_key_version=version,
        )  # fmt: skip
    record(session, ClusterUpdated(subject_id=row.id, changed=changed))
    enqueue(session, CheckCluster(id=row.id))
    return await session.one(queries.CLUSTER, org_id=session.org_id, cluster_id=row.id)


async def consent(session: TenantSession, row: ClusterRow, *, accepted: bool) -> ClusterRow:
    """An owner accepts, or no longer accepts, that secrets are written to a cluster that may keep them in the clear."""
    if accepted == row.accept_unencrypted_secrets:
        return row
    (await session.access()).require(Permission.clusters_accept_risk, granted_by="owner")
    await session.execute(queries.SET_CONSENT, org=session.org_id, this=row.id, accepted=accepted)
    fact = ClusterRiskAccepted(subject_id=row.id) if accepted else ClusterRiskRefused(subject_id=row.id)
    record(session, fact)
    return await session.one(queries.CLUSTER, org_id=session.org_id, cluster_id=row.id)


async def remove(session: TenantSession, cluster_id: UUID) -> None:
    """Forget a cluster; raises Conflict, which names them, while environments are on it."""
    row = await session.one(queries.CLUSTER_FOR_REMOVAL, org_id=session.org_id, cluster_id=cluster_id)
    placed = await session.all(queries.ENVIRONMENTS_ON, org_id=session.org_id, cluster_id=cluster_id)
    if placed:
        named = ", ".join(
            f"{one.slug} ({encode('env', one.id)}{', deleted' if one.is_deleted else ''})" for one in placed
        )
        raise Conflict(
            f"Environments are on this cluster: {named}.",
            code="cluster_in_use",
            hint="Delete them first; a deleted one is gone from the cluster when its undo window is over.",
        )
    await session.execute(queries.REMOVE, org_id=session.org_id, cluster_id=cluster_id)
    record(session, ClusterRemoved(subject_id=row.id, slug=row.slug))


async def request_check(session: TenantSession, cluster_id: UUID) -> ClusterRow:
    """Have a cluster looked at now."""
    row = await session.one(queries.CLUSTER_FOR_UPDATE, org_id=session.org_id, cluster_id=cluster_id)
    enqueue(session, CheckCluster(id=row.id))
    return row


async def cluster_for_environment(session: TenantSession, named: str | None) -> UUID | None:
    """The cluster an environment is to be placed on; raises Invalid where there is none, Conflict where consent lacks."""
    if named is None:
        return None
    row = await session.find(queries.CLUSTER_NAMED, org_id=session.org_id, id=decode("clu", named) or NIL, slug=named)
    if row is None:
        raise Invalid.field("/cluster", "not_found", "There is no such cluster.")
    if not row.may_hold_secrets:
        raise Conflict(
            "The cluster is not known to encrypt Secrets, and no owner has consented to writing them there.",
            code="secrets_not_encrypted",
            hint="An owner consents with PATCH /v1/clusters/{id} and accept_unencrypted_secrets.",
        )
    return row.id

"""Clusters over HTTP: registered, looked at, never read back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from kovra.features.clusters import queries
from kovra.features.clusters.queries import ClusterRow
from kovra.features.clusters.rules import kubeconfig
from kovra.features.clusters.schemas import Answer, ClusterIn, ClusterOut, ClusterPatch
from kovra.features.clusters.service import registering
from kovra.features.clusters.service.registering import NewCluster
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Invalid
from kovra.foundation.ids import encode, slugify
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import changes_of, path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired

router = APIRouter(route_class=KovraRoute, tags=["clusters"])

Keys = Annotated[HolderKeyStore, wired(HolderKeyStore)]
Reader = Annotated[Principal, requires(Permission.clusters_read)]
Manager = Annotated[Principal, requires(Permission.clusters_manage)]


async def _shown(session: TenantSession, row: ClusterRow) -> ClusterOut:
    proof = await session.find(queries.PROVEN_ON, org_id=session.org_id, cluster_id=row.id)
    answer: Answer = "unknown" if proof is None else "yes" if proof.state == "proven" else "no"
    return ClusterOut.of(row, answer)


def _version(row: ClusterRow) -> str:
    return version_of(row.updated_at)


@router.get("/v1/clusters", operation_id="listClusters")
async def list_clusters(
    who: Reader, session: Session, pages: Annotated[Paging, pages_of(queries.CLUSTERS)]
) -> ListOf[ClusterOut]:
    """The organization's own clusters and how they are; whether policies are enforced is told of one alone."""
    return pages.answer(session.org_id, await pages.read(session, queries.CLUSTERS), ClusterOut.of)


@router.post("/v1/clusters", operation_id="registerCluster", status_code=201)
@refuses(
    "409 slug_taken", "409 too_many_clusters", "422 address_not_allowed", "422 credential_needed", "422 field_refused",
    "422 kubeconfig_invalid",
)  # fmt: skip
async def register_cluster(
    body: ClusterIn, who: Manager, session: Session, store: Keys, etags: ETags, response: Response
) -> ClusterOut:
    """Register a cluster of your own. It is looked at in the background; environments can be placed on it at once,
    unless an owner's consent is needed first.
    """
    slug = body.slug or slugify(body.name)
    if not slug:
        raise Invalid.field("/slug", "slug_needed", "No slug can be made from this name; give one.")
    wanted = NewCluster(
        name=body.name, slug=slug, apps_domain=body.apps_domain, routing=body.routing,
        access=kubeconfig.read(body.kubeconfig) if body.kubeconfig is not None else None,
        eks_cluster=body.eks.cluster if body.eks else None, eks_region=body.eks.region if body.eks else None,
        eks_role_arn=body.eks.role_arn if body.eks else None,
    )  # fmt: skip
    row = await registering.register(session, store, wanted)
    etags.answer(_version(row))
    response.headers["Location"] = f"/v1/clusters/{encode('clu', row.id)}"
    return ClusterOut.of(row)


@router.get("/v1/clusters/{cluster_id}", operation_id="getCluster")
async def get_cluster(cluster_id: str, who: Reader, session: Session, etags: ETags) -> ClusterOut:
    """One cluster: its health, and what the last look found."""
    row = await session.one(queries.CLUSTER, org_id=session.org_id, cluster_id=path_id("clu", cluster_id))
    shown = await _shown(session, row)
    etags.answer(_version(row), shown)
    return shown


@router.patch("/v1/clusters/{cluster_id}", operation_id="updateCluster")
@refuses("422 address_not_allowed", "422 credential_needed", "422 field_refused", "422 kubeconfig_invalid")
async def update_cluster(
    body: ClusterPatch, cluster_id: str, who: Manager, session: Session, store: Keys, etags: ETags
) -> ClusterOut:
    """Change a cluster, or replace its credentials. What runs there goes on; the next step uses the new ones."""
    row = await session.one(queries.CLUSTER_FOR_UPDATE, org_id=session.org_id, cluster_id=path_id("clu", cluster_id))
    etags.check(_version(row))
    given = changes_of(body, "apps_domain")
    text, accepted = given.pop("kubeconfig", None), given.pop("accept_unencrypted_secrets", None)
    if "role_arn" in given:
        given["eks_role_arn"] = given.pop("role_arn")
    access = kubeconfig.read(text) if text is not None else None
    after = await registering.update(session, store, row, given, access)
    if accepted is not None:
        after = await registering.consent(session, after, accepted=accepted)
    etags.answer(_version(after))
    return await _shown(session, after)


@router.delete("/v1/clusters/{cluster_id}", operation_id="removeCluster", status_code=204)
@refuses("409 cluster_in_use")
async def remove_cluster(cluster_id: str, who: Manager, session: Session) -> None:
    """Forget a cluster and its credentials. One that environments are on stays: the refusal names them."""
    await registering.remove(session, path_id("clu", cluster_id))


@router.post("/v1/clusters/{cluster_id}/actions/check", operation_id="checkCluster", status_code=202)
async def check_cluster(cluster_id: str, who: Manager, session: Session, response: Response) -> ClusterOut:
    """Look at a cluster now. `checked_at` tells when that was done; a change of health is an event."""
    row = await registering.request_check(session, path_id("clu", cluster_id))
    response.headers["Location"] = f"/v1/clusters/{encode('clu', row.id)}"
    return ClusterOut.of(row)

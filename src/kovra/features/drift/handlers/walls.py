"""The walls of an environment against what has to stand; they return whatever anybody's policy says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kovra.adapters.cluster.client import MANAGED_BY, MANAGER, ClusterClient
from kovra.adapters.cluster.differences import differences
from kovra.adapters.cluster.errors import (
    ClusterForeign,
    ClusterNotFound,
    ClusterRefused,
    ClusterUnreachable,
)
from kovra.adapters.cluster.manifests import namespace_manifests
from kovra.adapters.cluster.walls import raise_walls
from kovra.adapters.cluster.workload import Isolation, NodePool, ObjectRef
from kovra.features.deployments.compose import Placing, isolation_of
from kovra.features.deployments.service.acting import denied_later
from kovra.features.drift import queries
from kovra.features.drift.handlers.checking import apply_whole
from kovra.features.drift.messages import CheckWalls
from kovra.features.drift.rules.items import MOST, Found, Item, item_of, merged, put_back
from kovra.features.drift.service import reports
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries as project_queries
from kovra.foundation import clock
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.observability import logger

_BESIDES: Final = (
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("batch/v1", "Job"),
)
"""Kinds that are looked through for what is not Kovra's: what opens, what runs, what is reached."""
_ROUTES: Final = {
    "gateway": ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    "ingress": ("networking.k8s.io/v1", "Ingress"),
}
_EVERYWHERE: Final = frozenset({("ServiceAccount", "default")})
"""What Kubernetes itself puts into every namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one look at the walls shows."""

    found: list[Found]
    renewed: list[dict[str, Any]]
    """What stands as an earlier version, plan or setting had it: raised anew, and no drift."""
    digest: str
    """Of all that has to stand."""


async def check_walls(context: JobContext, job: CheckWalls) -> None:
    """Look, raise again what is not as it must be, and write down both."""
    async with context.session() as session:
        live = await session.find(queries.A_LIVE_ONE, org_id=context.org_id, environment_id=job.id)
        if live is None:
            return
        row = await session.one(project_queries.APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=live.id)
        report = await session.find(queries.WALLS, org_id=context.org_id, environment_id=job.id)
        plan = (await session.one(organization_queries.ORGANIZATION, org_id=context.org_id)).plan
    placing = context.registry.get(Placing)
    isolation = isolation_of(context.org_id, row, placing, plan)
    known = report.facts if report is not None else {}
    before = [item_of(document) for document in report.items] if report is not None else []
    client = context.registry.get(ClusterClient)
    with denied_later():
        look = await _look(client, isolation, placing.routing, known)
        seen = merged(before, look.found, clock.now())
        after = await _raised(context, isolation, look, seen)
    level = placing.pools.get(plan, NodePool()).level
    facts = {**_facts(isolation, after), "plan": plan, "wanted": look.digest, "level": level}
    async with context.session() as session:
        await reports.write_walls(session, row, before, seen, after, facts)


async def _look(client: ClusterClient, isolation: Isolation, routing: str, known: Mapping[str, Any]) -> _Look:
    wanted = namespace_manifests(isolation)
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    is_renewed = known.get("wanted") not in (None, digest)
    found: list[Found] = []
    renewed: list[dict[str, Any]] = []
    is_lost = False
    for document in wanted:
        # With its namespace goes all that stood in it, and the right to look there.
        live = None if is_lost else await client.find(ObjectRef.of(document))
        kind, name = document["kind"], document["metadata"]["name"]
        if live is None or "deletionTimestamp" in live["metadata"]:
            is_lost = is_lost or kind == "Namespace"
            found.append(Found(kind=kind, name=name, change="deleted"))
            continue
        paths = differences(document, live)
        if paths and is_renewed and not _is_others(live):
            renewed.append(document)
        elif paths:
            found.append(Found(kind=kind, name=name, change="changed", paths=tuple(paths)))
    if not any(f.kind == "Namespace" for f in found):
        found += await _besides(client, isolation.placement.namespace, wanted, routing)
    return _Look(found=found, renewed=renewed, digest=digest)


def _facts(isolation: Isolation, after: Sequence[Item]) -> dict[str, Any]:
    """What stands now, in the words of the report: in the cluster it is exactly as it is here."""
    failed = {item.key for item in after if item.is_open}
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for document in namespace_manifests(isolation):
        if (document["kind"], document["metadata"]["name"]) not in failed:
            by_kind.setdefault(document["kind"], []).append(document)
    quota, account, namespace = (by_kind.get(k, [{}])[0] for k in ("ResourceQuota", "ServiceAccount", "Namespace"))
    labels = namespace["metadata"]["labels"] if namespace else {}
    level = [str(labels.get(f"pod-security.kubernetes.io/enforce{suffix}") or "") for suffix in ("", "-version")]
    return {
        "network_policies": sorted(d["metadata"]["name"] for d in by_kind.get("NetworkPolicy", [])),
        "quota": quota["spec"]["hard"] if quota else None,
        "pod_security": " ".join(level) if all(level) else None,
        "service_account_token": account["automountServiceAccountToken"] if account else None,
    }


def _is_others(live: Mapping[str, Any]) -> bool:
    """Whether anybody but Kovra has set something of it, but for its status."""
    return any(
        entry.get("manager") != MANAGER and entry.get("subresource") != "status"
        for entry in live["metadata"].get("managedFields") or []
    )


async def _besides(
    client: ClusterClient, namespace: str, wanted: Sequence[Mapping[str, Any]], routing: str
) -> list[Found]:
    """Objects in the namespace that are not Kovra's: names alone, and none of them is touched."""
    ours = {(d["kind"], d["metadata"]["name"]) for d in wanted} | _EVERYWHERE
    found = []
    for api_version, kind in (*_BESIDES, _ROUTES[routing]):
        try:
            listed = await client.list(api_version, kind, namespace)
        except ClusterNotFound:  # the cluster does not know the kind
            continue
        for item in listed["items"]:
            name, labels = item["metadata"]["name"], item["metadata"].get("labels") or {}
            if (kind, name) not in ours and labels.get(MANAGED_BY) != MANAGER:
                found.append(Found(kind=kind, name=name, change="extra"))
    return found[:MOST]


async def _raised(context: JobContext, isolation: Isolation, look: _Look, seen: Sequence[Item]) -> list[Item]:
    """The items after the walls were raised again."""
    wanted = {(d["kind"], d["metadata"]["name"]): d for d in namespace_manifests(isolation)}
    client = context.registry.get(ClusterClient)
    if any(item.is_open and item.kind == "Namespace" and item.change == "deleted" for item in seen):
        # The cluster has lost it: what ran in it is applied again by its own job.
        await raise_walls(client, isolation, check=context.check_time)
        return [put_back(item, clock.now()) if item.is_open and item.key in wanted else item for item in seen]
    for document in look.renewed:
        context.check_time()
        await apply_whole(client, document, Item(kind=document["kind"], name="", change="changed", paths=(), since=""))
    return [
        await _put_back(context, item, wanted[item.key]) if item.is_open and item.key in wanted else item
        for item in seen
    ]


async def _put_back(context: JobContext, item: Item, document: dict[str, Any]) -> Item:
    context.check_time()
    try:
        await apply_whole(context.registry.get(ClusterClient), document, item)
    except ClusterForeign:
        return replace(item, reason="not_ours")
    except (ClusterRefused, ClusterNotFound, ClusterUnreachable) as refused:
        logger.error("wall_not_raised", kind=item.kind, code=refused.error_code)
        return replace(item, reason="refused")
    return put_back(item, clock.now())

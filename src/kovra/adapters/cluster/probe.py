"""A look at a cluster with the credentials given: what it is, what they may do, and what it has. Changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied, ClusterNotFound, ClusterRefused
from kovra.adapters.cluster.manifests.worker import Right, needed_rights

Answer = Literal["yes", "no", "unknown"]
_AT_ONCE: Final = 6
_LISTED: Final = 20
"""Classes of gateways and ingresses that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look found. Texts are the cluster's own, cut short."""

    version: str
    username: str
    """As whom it knows the credentials."""
    missing: tuple[str, ...]
    """Rights that are needed and not held."""
    inside_by: Literal["held", "role", "nothing"]
    """How rights inside of environments are come by: held everywhere, by binding ``kovra-tenant-manager``, not at all."""
    pod_security: Answer
    """Whether Pod Security admission refuses what it is to refuse."""
    metrics: Answer
    gateway_classes: tuple[str, ...] | None
    """None: the Gateway API is not there, or may not be read."""
    ingress_classes: tuple[str, ...] | None


async def look_at(client: ClusterClient) -> Seen:
    """Ask everything; raises ClusterUnreachable, or ClusterDenied where the credentials are no good."""
    version = await client.read("/version")
    username = await _username(client)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def held(right: Right) -> bool:
        async with turns:
            return await _may(client, right)

    rights = needed_rights()
    answers = await asyncio.gather(*(held(right) for right in rights))
    lacking = [right for right, may in zip(rights, answers, strict=True) if not may]
    everywhere = tuple(right.text for right in lacking if not right.inside)
    may_bind = not any(right.verb == "bind" or right.resource == "rolebindings" for right in lacking)
    inside = tuple(right.text for right in lacking if right.inside)
    inside_by: Literal["held", "role", "nothing"] = "held" if not inside else "role" if may_bind else "nothing"
    return Seen(
        version=_short(version.get("gitVersion")),
        username=username,
        missing=everywhere + (inside if inside_by == "nothing" else ()),
        inside_by=inside_by,
        pod_security=await _pod_security(client),
        metrics=await _metrics(client),
        gateway_classes=await _classes(client, "/apis/gateway.networking.k8s.io/v1/gatewayclasses"),
        ingress_classes=await _classes(client, "/apis/networking.k8s.io/v1/ingressclasses"),
    )


def _short(text: object) -> str:
    return str(text or "")[:100] if isinstance(text, str) else ""


async def _username(client: ClusterClient) -> str:
    document = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    found = await client.review("/apis/authentication.k8s.io/v1/selfsubjectreviews", document)
    status = found.get("status")
    info = status.get("userInfo") if isinstance(status, dict) else None
    return str(info.get("username", ""))[:256] if isinstance(info, dict) else ""


async def _may(client: ClusterClient, right: Right) -> bool:
    document = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right.attributes()},
    }
    found = await client.review("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", document)
    status = found.get("status")
    return isinstance(status, dict) and status.get("allowed") is True


async def _pod_security(client: ClusterClient) -> Answer:
    """Its admission plugin refuses a Namespace that asks for a level which does not exist; nothing else does."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "kovra-probe-of-pod-security",
            "labels": {"pod-security.kubernetes.io/enforce": "no-such-level"},
        },
    }
    try:
        await client.apply(namespace, dry_run=True)
    except ClusterRefused as refused:
        return "yes" if "no-such-level" in refused.message or "must be one of" in refused.message else "unknown"
    except ClusterDenied:
        return "unknown"
    return "no"


async def _metrics(client: ClusterClient) -> Answer:
    try:
        await client.read("/apis/metrics.k8s.io/v1beta1")
    except ClusterNotFound:
        return "no"
    except (ClusterDenied, ClusterRefused):
        return "unknown"
    return "yes"


async def _classes(client: ClusterClient, path: str) -> tuple[str, ...] | None:
    try:
        found = (await client.read(path, [("limit", str(_LISTED))])).get("items")
    except (ClusterNotFound, ClusterDenied, ClusterRefused):
        return None
    names = [
        str(item["metadata"]["name"])[:253]
        for item in (found if isinstance(found, list) else [])
        if isinstance(item, dict) and isinstance(item.get("metadata"), dict) and "name" in item["metadata"]
    ]
    return tuple(sorted(names[:_LISTED]))

"""Applying a volume's claim: it grows where the cluster lets it, never shrinks, and is never pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.workload import ObjectRef


async def apply_claim(client: ClusterClient, document: Mapping[str, Any]) -> None:
    """Apply a claim. One that is larger already stays so: an older release that asked for less is no reason to shrink."""
    live = await client.find(ObjectRef.of(document))
    if live is not None:
        client.require_ours(document, live)
        now = live["spec"]["resources"]["requests"]["storage"]
        grows = amount(now) < amount(document["spec"]["resources"]["requests"]["storage"])
        if grows and (live.get("status") or {}).get("phase") == "Pending":
            await client.remove(ObjectRef.of(document))  # nothing is in it yet, and only what is bound can grow
        elif not grows:
            document = {**document, "spec": {**document["spec"], "resources": {"requests": {"storage": now}}}}
    await client.apply(document)

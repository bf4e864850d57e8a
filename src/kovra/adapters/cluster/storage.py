"""Applying a volume's claim: it grows where the cluster lets it, never shrinks, and is never pruned."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterUnreachable
from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.workload import ObjectRef
from kovra.foundation import clock

_GONE_S: Final = 8.0


async def apply_claim(client: ClusterClient, document: Mapping[str, Any]) -> None:
    """Apply a claim. One that is larger already stays so: an older release that asked for less is no reason to shrink."""
    live = await client.find(ObjectRef.of(document))
    if live is not None:
        client.require_ours(document, live)
        now = live["spec"]["resources"]["requests"]["storage"]
        grows = amount(now) < amount(document["spec"]["resources"]["requests"]["storage"])
        if grows and (live.get("status") or {}).get("phase") == "Pending":
            await _gone(client, ObjectRef.of(document))  # nothing is in it yet, and only what is bound can grow
        elif not grows:
            document = {**document, "spec": {**document["spec"], "resources": {"requests": {"storage": now}}}}
    await client.apply(document)


async def _gone(client: ClusterClient, ref: ObjectRef) -> None:
    """Remove a claim, and wait until the cluster has: it looks first whether anything uses it. Raises ClusterUnreachable."""
    await client.remove(ref)
    ends = clock.monotonic() + _GONE_S
    while await client.find(ref) is not None:
        if clock.monotonic() >= ends:
            raise ClusterUnreachable("A volume is still being removed.", retry_after_s=2)
        await asyncio.sleep(0.1)

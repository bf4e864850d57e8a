"""Handing the number of instances over to the cluster's autoscaler, without a moment in which there are fewer.

Server-side apply takes a field away when its only manager says it no more, and a Deployment without ``replicas`` has one.
So another manager says the same number first; the autoscaler then changes it as it likes (Kubernetes documentation,
"Server-Side Apply", transferring ownership). Taking it back is one apply that says a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kovra.adapters.cluster.client import MANAGER, ClusterClient
from kovra.adapters.cluster.errors import ClusterConflict
from kovra.adapters.cluster.workload import ObjectRef

SCALER: Final = "kovra-scale"
"""The manager that says the number where it is the cluster's to change."""
_TRIES: Final = 5


async def apply_scaled(client: ClusterClient, document: Mapping[str, Any], least: int) -> None:
    """Apply a Deployment that says no number of replicas; there are never fewer than before, and soon at least ``least``.

    What was stopped, or is new, begins with ``least``: an autoscaler leaves alone what has no replicas.
    """
    ref = ObjectRef.of(document)
    for attempt in range(_TRIES):
        live = await client.find(ref)
        if live is None:
            await client.apply({**document, "spec": {**document["spec"], "replicas": least}})
            continue
        client.require_ours(document, live)
        now = int(live["spec"].get("replicas", 1))
        try:
            if not now:
                await client.apply_as(SCALER, _replicas(ref, least), force=True)
            elif _is_said_by_kovra(live):
                await client.apply_as(SCALER, _replicas(ref, now))
            await client.apply(document)
            return
        except ClusterConflict:  # somebody has changed the number between the look and the word
            if attempt == _TRIES - 1:
                raise


def _replicas(ref: ObjectRef, number: int) -> dict[str, Any]:
    metadata = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata, "spec": {"replicas": number}}


def _is_said_by_kovra(live: Mapping[str, Any]) -> bool:
    """Whether the number would go if Kovra applied without it."""
    return any(
        entry.get("manager") == MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in live["metadata"].get("managedFields") or []
    )

"""Claims of volumes, on both API servers."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterRefused
from kovra.adapters.cluster.storage import apply_claim
from kovra.adapters.cluster.workload import ObjectRef
from tests.adapters.cluster.contract.conftest import Raw


def claim(namespace: str, size: str, mode: str = "ReadWriteOnce") -> dict[str, Any]:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    labels = {"app.kubernetes.io/managed-by": "kovra"}
    metadata = {"name": "v", "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


async def size(client: ClusterClient, namespace: str) -> str:
    found = await client.get(ObjectRef.of(claim(namespace, "1Gi")))
    return str(found["spec"]["resources"]["requests"]["storage"])


async def test_an_older_wish_does_not_shrink_it_and_a_larger_one_is_had(client: ClusterClient, namespace: str) -> None:
    """A claim that found no volume yet is made anew, since only bound ones grow."""
    await apply_claim(client, claim(namespace, "2Gi"))
    await apply_claim(client, claim(namespace, "1Gi"))
    assert await size(client, namespace) == "2Gi"
    await apply_claim(client, claim(namespace, "3Gi"))
    assert await size(client, namespace) == "3Gi"


async def test_how_it_is_mounted_never_changes(client: ClusterClient, namespace: str) -> None:
    await client.apply(claim(namespace, "2Gi"))
    with pytest.raises(ClusterRefused, match="spec is immutable after creation except"):
        await client.apply(claim(namespace, "2Gi", "ReadWriteMany"))


async def test_a_quota_counts_claims_and_their_storage(client: ClusterClient, raw: Raw, namespace: str) -> None:
    hard = {"requests.storage": "2Gi", "persistentvolumeclaims": "5"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": namespace}}
    await client.apply({**quota, "spec": {"hard": hard}})
    with pytest.raises(ClusterRefused, match=r"exceeded quota: q, requested: requests\.storage=3Gi"):
        await apply_claim(client, claim(namespace, "3Gi"))
    await apply_claim(client, claim(namespace, "2Gi"))

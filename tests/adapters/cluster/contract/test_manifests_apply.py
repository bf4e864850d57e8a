"""Every reviewed manifest is one that an API server takes, strictly; and quotas grow with the plan."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kovra.adapters.cluster.client import MANAGER, ClusterClient, path_of
from kovra.adapters.cluster.manifests import namespace_manifests
from kovra.adapters.cluster.workload import Isolation, ObjectRef, Quota
from kovra.features.projects.plans import SIZES
from kovra.settings import Settings
from tests.adapters.cluster.test_manifests import PLACEMENT, SETS


@pytest.mark.parametrize("name", SETS)
async def test_an_api_server_takes_every_manifest_strictly(client: ClusterClient, name: str) -> None:
    """T126, T128: a dry run with strict fields, below the Pod Security that the namespace asks for."""
    walls = namespace_manifests(Isolation(placement=PLACEMENT))
    others = {d["metadata"].get("namespace") for d in SETS[name]} - {None, PLACEMENT.namespace}
    made_for_it = [walls[0], *(_namespace(other) for other in others)]
    for namespace in made_for_it:
        await client.apply(namespace)
    try:
        for document in SETS[name]:
            ref = ObjectRef.of(document)
            query = [("fieldManager", MANAGER), ("dryRun", "All"), ("fieldValidation", "Strict"), ("force", "true")]
            path = path_of(ref.api_version, ref.kind, ref.namespace, ref.name)
            made = await client._json("PATCH", path, query=query, body=document, content="application/apply-patch+yaml")
            assert made["metadata"]["name"] == ref.name
    finally:
        for namespace in made_for_it:
            await client.delete(ObjectRef.of(namespace))
        while any([await client.find(ObjectRef.of(namespace)) for namespace in made_for_it]):
            pass


def _namespace(name: str) -> dict[str, Any]:
    """Where Kovra's routes are, and nobody's apps."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def test_a_larger_plan_never_has_a_smaller_quota() -> None:
    quotas: list[Any] = [
        Settings(environment="development").quotas[p] for p in ("free", "team", "business", "enterprise")
    ]  # type: ignore[index]
    for smaller, larger in itertools.pairwise(quotas):
        for field in ("cpu_millis", "memory_mib", "pods", "jobs"):
            assert getattr(larger, field) > getattr(smaller, field)
        assert larger.container_cpu_millis >= smaller.container_cpu_millis
        assert larger.container_memory_mib >= smaller.container_memory_mib
    for quota in quotas:
        documents = namespace_manifests(
            Isolation(placement=PLACEMENT, quota=Quota(**quota.model_dump(exclude={"environments"})))
        )
        hard = next(d["spec"]["hard"] for d in documents if d["kind"] == "ResourceQuota")
        assert hard["limits.cpu"] == f"{quota.cpu_millis}m"
        (limit,) = next(d["spec"]["limits"] for d in documents if d["kind"] == "LimitRange")
        assert limit["max"]["cpu"] == f"{quota.container_cpu_millis}m"
        assert limit["max"]["memory"] == f"{quota.container_memory_mib}Mi"
        for size in SIZES.values():
            assert size.cpu_millis <= quota.container_cpu_millis
            assert size.memory_mib <= quota.container_memory_mib

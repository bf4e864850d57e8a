"""What is foreseen to fit is what an API server's quota lets in, to the last thousandth; on both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterRefused
from kovra.adapters.cluster.manifests import namespace_manifests
from kovra.adapters.cluster.manifests.workload import pod_template
from kovra.adapters.cluster.workload import Isolation, Process, Quota
from kovra.features.deployments.rules.demand import Demand, Running, lacking, replacing
from kovra.features.projects.plans import Plans, Size
from tests.adapters.cluster.test_manifests import PLACEMENT, WORKLOAD

BEFORE = Running(processes={"web": (2, Size(150, 192)), "gone": (1, Size(50, 64))})
AFTER = Running(processes={"web": (1, Size(250, 160)), "new": (1, Size(100, 128))})
FORESEEN = replacing(BEFORE, AFTER, Plans())


def quota(namespace: str, allowed: Demand) -> dict[str, Any]:
    """The ResourceQuota that Kovra puts there for a plan that allows this."""
    room = Quota(cpu_millis=allowed.cpu_millis, memory_mib=allowed.memory_mib, pods=allowed.pods)
    documents = namespace_manifests(Isolation(placement=PLACEMENT, quota=room))
    found = next(d for d in documents if d["kind"] == "ResourceQuota")
    return {**found, "metadata": {"name": found["metadata"]["name"], "namespace": namespace}}


def pod(namespace: str, number: int, size: Size) -> dict[str, Any]:
    process = Process(
        name="web", command=None, port=None, instances=1, cpu_millis=size.cpu_millis, memory_mib=size.memory_mib
    )  # fmt: skip
    spec = {**pod_template(WORKLOAD, process)["spec"], "serviceAccountName": "default"}
    metadata = {"name": f"p{number}", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def pods_of(demand: Demand) -> list[Size]:
    """So many instances that need just this together."""
    each = Size(demand.cpu_millis // demand.pods, demand.memory_mib // demand.pods)
    rest = Demand.of(each, demand.pods - 1)
    return [each] * (demand.pods - 1) + [Size(demand.cpu_millis - rest.cpu_millis, demand.memory_mib - rest.memory_mib)]


@pytest.mark.parametrize("less", [None, "cpu_millis", "memory_mib", "pods"])
async def test_a_quota_lets_in_what_was_foreseen_and_nothing_more(
    client: ClusterClient, namespace: str, less: str | None
) -> None:
    allowed = FORESEEN if less is None else replace(FORESEEN, **{less: getattr(FORESEEN, less) - 1})
    assert [over.resource for over in lacking(FORESEEN, Demand(), allowed)] == ([less] if less else [])
    await client.apply(quota(namespace, allowed))
    *others, last = [pod(namespace, n, size) for n, size in enumerate(pods_of(FORESEEN))]
    for document in others:
        await client.apply(document)
    if less is None:
        await client.apply(last)
        last = pod(namespace, FORESEEN.pods, Size(1, 1))
    with pytest.raises(ClusterRefused, match="exceeded quota: environment"):
        await client.apply(last)

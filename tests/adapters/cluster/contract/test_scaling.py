"""Handing the number of instances over to an autoscaler and taking it back, on both API servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterRefused
from kovra.adapters.cluster.scaling import apply_scaled
from kovra.adapters.cluster.workload import ObjectRef
from tests.adapters.cluster.contract.conftest import Raw, deployment

PLACE = "/apis/apps/v1/namespaces/{}/deployments/d"


def unsaid(document: dict[str, Any]) -> dict[str, Any]:
    """The same, without a word about replicas."""
    return {**document, "spec": {name: value for name, value in document["spec"].items() if name != "replicas"}}


def autoscaler(namespace: str, least: int, most: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": 70}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }


async def replicas(client: ClusterClient, namespace: str) -> int:
    found = await client.get(ObjectRef.of(deployment(namespace)))
    return int(found["spec"]["replicas"])


async def every_number(client: ClusterClient, namespace: str, since: str) -> list[int]:
    """Every number of replicas that an API server has ever told since then."""
    now = (await client.get(ObjectRef.of(deployment(namespace))))["metadata"]["resourceVersion"]
    told: list[int] = []
    async with asyncio.timeout(60):
        async for event in client.watch("apps/v1", "Deployment", namespace, labels="", resource_version=since):
            if event["type"] != "BOOKMARK":
                told.append(int(event["object"]["spec"]["replicas"]))
                if int(event["object"]["metadata"]["resourceVersion"]) >= int(now):
                    return told
    return told


async def scale(raw: Raw, to: int) -> None:
    """As the autoscaler's controller does it."""
    status, _ = await raw(
        "PATCH", PLACE.format(raw.namespace) + "/scale", {"spec": {"replicas": to}},
        content="application/merge-patch+json", fieldManager="kube-controller-manager",
    )  # fmt: skip
    assert status == 200


async def test_there_are_never_fewer_while_the_number_changes_hands(
    client: ClusterClient, raw: Raw, namespace: str
) -> None:
    first = await client.apply(deployment(namespace, replicas=3))
    begun = first["metadata"]["resourceVersion"]
    await apply_scaled(client, unsaid(deployment(namespace)), 2)
    assert await replicas(client, namespace) == 3
    await scale(raw, 6)
    await apply_scaled(client, unsaid(deployment(namespace, A="new")), 2)
    await apply_scaled(client, unsaid(deployment(namespace, A="newer")), 2)
    assert await replicas(client, namespace) == 6
    assert min(await every_number(client, namespace, begun)) == 3
    back = await client.apply(deployment(namespace, replicas=5, A="newer"))
    assert back["spec"]["replicas"] == 5
    await apply_scaled(client, unsaid(deployment(namespace, A="newer")), 2)
    assert set(await every_number(client, namespace, back["metadata"]["resourceVersion"])) <= {5}


async def test_handing_over_twice_at_once_is_handing_over(client: ClusterClient, namespace: str) -> None:
    await client.apply(deployment(namespace, replicas=4))
    await asyncio.gather(*(apply_scaled(client, unsaid(deployment(namespace)), 2) for _ in range(3)))
    assert await replicas(client, namespace) == 4


async def test_what_is_new_or_was_stopped_begins_with_the_least(
    client: ClusterClient, raw: Raw, namespace: str
) -> None:
    await apply_scaled(client, unsaid(deployment(namespace)), 2)
    assert await replicas(client, namespace) == 2
    await client.apply(deployment(namespace, replicas=0))
    assert await replicas(client, namespace) == 0
    await apply_scaled(client, unsaid(deployment(namespace)), 3)
    assert await replicas(client, namespace) == 3
    await scale(raw, 0)
    await apply_scaled(client, unsaid(deployment(namespace)), 3)
    assert await replicas(client, namespace) == 3


async def test_without_handing_over_the_number_is_lost(client: ClusterClient, namespace: str) -> None:
    """What all this is for: the same in both API servers."""
    await client.apply(deployment(namespace, replicas=3))
    await client.apply(unsaid(deployment(namespace)))
    assert await replicas(client, namespace) == 1


async def test_an_autoscaler_keeps_to_its_bounds_and_leaves_alone_what_is_stopped(
    client: ClusterClient, raw: Raw, namespace: str
) -> None:
    made = await client.apply(autoscaler(namespace, 2, 4))
    doubled = {"type": "Percent", "value": 100, "periodSeconds": 15}
    assert made["spec"]["behavior"]["scaleUp"]["policies"] == [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        doubled,
    ]
    assert made["spec"]["behavior"]["scaleDown"]["policies"] == [doubled]
    await apply_scaled(client, unsaid(deployment(namespace)), 1)
    await _until(client, namespace, 2)
    await scale(raw, 9)
    await _until(client, namespace, 4)
    await scale(raw, 0)
    ref = ObjectRef.of(autoscaler(namespace, 2, 4))
    async with asyncio.timeout(60):
        while not any(
            c["reason"] == "ScalingDisabled" for c in ((await client.get(ref))["status"]).get("conditions") or []
        ):
            await asyncio.sleep(0.1)
    assert await replicas(client, namespace) == 0


async def _until(client: ClusterClient, namespace: str, wanted: int) -> None:
    async with asyncio.timeout(60):
        while await replicas(client, namespace) != wanted:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("least", "most"), [(0, 4), (3, 2), (1, 0)])
async def test_bounds_that_cannot_be_are_refused_in_the_same_words(
    client: ClusterClient, namespace: str, least: int, most: int
) -> None:
    with pytest.raises(ClusterRefused, match=r"is invalid: .*spec\.(minReplicas|maxReplicas): Invalid value"):
        await client.apply(autoscaler(namespace, least, most))

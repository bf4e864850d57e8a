"""A fast simulated cluster of this folder's own, and what tests do with it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from kovra.adapters.cluster.workload import ObjectRef

Document = dict[str, Any]


class Cluster:
    """One namespace of a simulated cluster, through the real client."""

    def __init__(self, simulator: Simulator, client: ClusterClient, namespace: str) -> None:
        self.simulator, self.client, self.namespace = simulator, client, namespace

    async def deploy(self, image: str = "ok:1", name: str = "d", **spec: Any) -> Document:
        """Apply a Deployment of a test image."""
        container: Document = {"name": "app", "image": f"registry.test/kovra/{image}"}
        container |= {"ports": [{"containerPort": 8080}]} | spec.pop("container", {})
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [container]} | spec.pop("pod", {}),
        }
        wanted = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template} | spec
        return await self.apply("apps/v1", "Deployment", name, spec=wanted)

    async def job(self, image: str = "task:1", *words: str, **spec: Any) -> Document:
        """Apply a Job of a test image, with a command."""
        container: Document = {"name": "app", "image": f"registry.test/kovra/{image}"}
        container |= {"command": list(words)} if words else {}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        return await self.apply("batch/v1", "Job", "j", spec={"template": template, "backoffLimit": 0} | spec)

    async def apply(self, api_version: str, kind: str, name: str, **fields: Any) -> Document:
        """Apply anything into the namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        return await self.client.apply({"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields})

    async def find(self, api_version: str, kind: str, name: str) -> Document | None:
        """One object of the namespace."""
        ref = ObjectRef(api_version=api_version, kind=kind, namespace=self.namespace, name=name)
        return await self.client.find(ref)

    async def pods(self) -> list[Document]:
        """All pods of the namespace."""
        return list((await self.client.list("v1", "Pod", self.namespace))["items"])

    async def until(self, api_version: str, kind: str, name: str, true: Callable[[Document], Any]) -> Document:
        """Wait until an object is as wanted."""
        async with asyncio.timeout(60):
            while not ((found := await self.find(api_version, kind, name)) and true(found)):
                await asyncio.sleep(0.02)
        return found

    async def rolled_out(self, name: str = "d") -> Document:
        """Wait until a Deployment's newest pods are all there is."""

        def complete(found: Document) -> bool:
            status, wanted = found.get("status") or {}, found["spec"]["replicas"]
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            counts = [status.get(f"{name}eplicas", 0) for name in ("updatedR", "r", "availableR")]
            return bool(seen) and counts == [wanted] * 3

        return await self.until("apps/v1", "Deployment", name, complete)

    async def waiting(self, reason: str) -> Document:
        """Wait until a pod waits for a reason."""
        async with asyncio.timeout(60):
            while True:
                for pod in await self.pods():
                    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
                    if (statuses[0].get("state", {}).get("waiting") or {}).get("reason") == reason:
                        return pod
                await asyncio.sleep(0.02)


def condition(document: Document, kind: str) -> Document:
    """A condition of a status."""
    conditions = (document.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


@pytest.fixture(scope="module")
async def simulated() -> AsyncIterator[Simulator]:
    simulator = Simulator(SimulatorOptions(speed=20))
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def cluster(simulated: Simulator) -> AsyncIterator[Cluster]:
    client = await from_kubeconfig(simulated.kubeconfig())
    name = f"sim-{secrets.token_hex(4)}"
    await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield Cluster(simulated, client, name)
    await client.delete(ObjectRef(api_version="v1", kind="Namespace", namespace="", name=name))
    await client.close()

"""A product whose cluster is looked at often, and hands that change it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient, path_of
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.workload import ObjectRef
from kovra.entrypoints.api import create_app
from kovra.entrypoints.worker import working
from tests.conftest import settings_for, simulated_registry
from tests.support.postgres import TestDatabase
from tests.support.product import App, Product

CANARY = "registry.test/kovra/ok:1"
API_VERSIONS = {
    "Deployment": "apps/v1", "Job": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2", "HTTPRoute": "gateway.networking.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1",
}  # fmt: skip


class Hands:
    """Somebody with all rights in the cluster."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    def ref(self, kind: str, name: str) -> ObjectRef:
        namespace = "" if kind == "Namespace" else self.namespace
        return ObjectRef(api_version=API_VERSIONS.get(kind, "v1"), kind=kind, namespace=namespace, name=name)

    async def find(self, kind: str, name: str) -> dict[str, Any] | None:
        return await self._client.find(self.ref(kind, name))

    async def names(self, kind: str) -> list[str]:
        listed = await self._client.list(API_VERSIONS.get(kind, "v1"), kind, self.namespace)
        return [item["metadata"]["name"] for item in listed["items"]]

    async def delete(self, kind: str, name: str) -> None:
        assert await self._client.delete(self.ref(kind, name))

    async def patch(self, kind: str, name: str, *operations: dict[str, Any]) -> None:
        """A JSON patch, as `kubectl edit` ends in one."""
        ref = self.ref(kind, name)
        path = path_of(ref.api_version, kind, ref.namespace, name)
        await self._client._json(
            "PATCH", path, query=[("fieldManager", "kubectl-edit")], body=list(operations),
            content="application/json-patch+json",
        )  # fmt: skip

    async def create(self, kind: str, name: str, **rest: Any) -> None:
        api_version = API_VERSIONS.get(kind, "v1")
        metadata = {"name": name, "namespace": self.namespace}
        body = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
        await self._client._json("POST", path_of(api_version, kind, self.namespace), body=body)


def replaced(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def added(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


async def until(asked: Callable[[], Awaitable[Any]]) -> Any:
    """What it answers once that is something."""
    async with asyncio.timeout(60):
        while not (found := await asked()):
            await asyncio.sleep(0.05)
        return found


@pytest.fixture(scope="module")
async def product(database: TestDatabase, keyrings: Path) -> AsyncIterator[Product]:
    settings = settings_for(database, keyrings / "api.json", canary_image=CANARY, simulated=True)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Product(app=app, database=database, settings=settings)


@pytest.fixture(scope="module")
async def running(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, canary_image=CANARY, drift_check_s=0.5,
        sweep_s=0.25, simulated=True, registries={"registry.test": simulated_registry(simulator)},
    )  # fmt: skip
    async with working(settings):
        product.simulator = simulator
        yield product


@pytest.fixture
async def live(running: Product) -> AsyncIterator[App]:
    """An app that serves, with a secret; looked at no more when the test is over."""
    app = await (await running.sign_up()).app(processes={"web": {"port": 8080, "instances": 2}})
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "hunter2-of-the-app"}})
    assert (await app.deploy())["outcome"] == "live"
    yield app
    await app.caller.ok("DELETE", f"/v1/apps/{app.app['id']}")


@pytest.fixture
async def hands(simulator: Simulator, live: App) -> AsyncIterator[Hands]:
    client = await from_kubeconfig(simulator.kubeconfig())
    yield Hands(client, "kv-" + live.environment["id"][4:])
    await client.close()

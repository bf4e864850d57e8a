"""A whole product on a cluster that can be disturbed: on the simulator always, and on a node where there is one. There the
worker goes through a door that can fail, under its own account's few rights.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from kovra.adapters.cluster.client import ClusterClient, path_of
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.manifests.worker import WORKER
from kovra.adapters.cluster.simulator import Fault, Simulator, SimulatorOptions
from kovra.adapters.cluster.simulator.faults import Faults
from kovra.adapters.cluster.workload import ObjectRef
from kovra.entrypoints.worker import working
from kovra.settings import Settings
from tests.conftest import settings_for, simulated_registry
from tests.support.cluster_accounts import USER, account_kubeconfig, prepare
from tests.support.door import door_to
from tests.support.product import App, Product

LIMIT_S = 180.0
"""Nothing here takes so long, on a busy machine and a node that pulls images neither."""


class Gate(Protocol):
    """Where the product comes to the cluster: what passes can fail, and it can be closed."""

    faults: Faults

    async def go_away(self) -> None: ...
    async def come_back(self) -> None: ...


@dataclass
class Place:
    """A product, the gate it goes through, and the administrator's hands in the cluster."""

    product: Product
    gate: Gate
    admin: ClusterClient
    settings: Settings
    """The worker's."""
    simulator: Simulator | None = None
    """None: the cluster is real."""

    async def app(self, **more: Any) -> App:
        ada = await self.product.sign_up()
        ready = {"readiness": {"path": "/healthz", "period_s": 1}}
        return await ada.app(**{"processes": {"web": {"port": 8080, "instances": 1, "checks": ready}}, **more})

    async def cordon(self, *, closed: bool) -> None:
        """The node takes no pods, or takes them again."""
        if self.simulator is not None:
            self.simulator.kubelet.cordoned = closed
            return
        for node in (await self.admin.read("/api/v1/nodes"))["items"]:
            await self.admin._json(
                "PATCH", f"/api/v1/nodes/{node['metadata']['name']}", body={"spec": {"unschedulable": closed}},
                content="application/merge-patch+json",
            )  # fmt: skip

    async def pods(self, app: App) -> list[dict[str, Any]]:
        """Those of an app that are not on their way out."""
        listed = (await self.admin.list("v1", "Pod", namespace(app), labels=labels(app)))["items"]
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    async def evict(self, pod: dict[str, Any]) -> int:
        """Ask a pod to go, as `kubectl drain` does; the status that is answered."""
        metadata = {name: pod["metadata"][name] for name in ("name", "namespace")}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        request = await self.admin._api.param_serialize(
            "POST", path, header_params={"Content-Type": "application/json"}, body=body, auth_settings=["BearerToken"]
        )
        answer = await self.admin._api.call_api(*request)  # type: ignore[misc]
        answer.response.release()
        return int(answer.status)

    async def by_hand(self, ref: ObjectRef, *operations: dict[str, Any]) -> None:
        """A JSON patch, as `kubectl edit` ends in one."""
        path = path_of(ref.api_version, ref.kind, ref.namespace, ref.name)
        await self.admin._json(
            "PATCH", path, query=[("fieldManager", "kubectl-edit")], body=list(operations),
            content="application/json-patch+json",
        )  # fmt: skip

    @asynccontextmanager
    async def failing(self, path: str, **how: Any) -> AsyncIterator[Fault]:
        """While the block lasts, what is asked at this path goes wrong."""
        fault = self.gate.faults.add(Fault(path=path, times=10_000, **how))
        try:
            yield fault
        finally:
            fault.times = fault.met

    async def serves(self, app: App, release: dict[str, Any]) -> None:
        """Until the API and the cluster say that this release serves, with all of its instances and no others."""

        async def asked() -> bool:
            now = await app.now()
            assert now["current_release"] is not None
            if now["current_release"]["id"] != release["id"]:
                return False
            found = (await self.admin.list("apps/v1", "Deployment", namespace(app), labels=labels(app)))["items"]
            return len(found) == 1 and _runs(found[0], release)

        await until(asked)


def _runs(deployment: dict[str, Any], release: dict[str, Any]) -> bool:
    template, status = deployment["spec"]["template"], deployment.get("status") or {}
    image = template["spec"]["containers"][0]["image"]
    wanted = deployment["spec"]["replicas"]
    return (
        template["metadata"]["labels"]["kovra.io/release"] == str(release["number"])
        and image.endswith(release["digest"])
        and (status.get("replicas"), status.get("availableReplicas")) == (wanted, wanted)
    )


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


def labels(app: App) -> str:
    return f"kovra.io/app-environment={app.pair['id'][4:]}"


def deployment_of(app: App) -> ObjectRef:
    name = f"aev-{app.pair['id'][4:]}-web"
    return ObjectRef(api_version="apps/v1", kind="Deployment", namespace=namespace(app), name=name)


async def until(asked: Callable[[], Awaitable[Any]], limit_s: float = LIMIT_S) -> Any:
    """What it answers once that is something."""
    async with asyncio.timeout(limit_s):
        while not (found := await asked()):
            await asyncio.sleep(0.1)
        return found


@pytest.fixture(
    scope="module", params=["simulator", pytest.param("real", marks=[pytest.mark.node, pytest.mark.disturbing])]
)
def api_server(request: pytest.FixtureRequest) -> str:
    """Pods must run: an API server alone is not enough."""
    return str(request.param)


@pytest.fixture(scope="module")
async def idle(
    api_server: str, product: Product, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """The product without a worker."""
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    often = {"kubeconfig": kubeconfig, "sweep_s": 1.0, "worker_port": 0}
    keyring = keyrings / "worker.json"
    if api_server == "simulator":
        simulator = Simulator(SimulatorOptions(speed=20))
        await simulator.start()
        kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
        registry = simulated_registry(simulator)
        # By the simulator's clock, which runs fast: a drained node must have the time to come back.
        settings = settings_for(
            product.database, keyring, registries={"registry.test": registry}, progress_deadline_s=600, **often
        )
        client = await from_kubeconfig(simulator.kubeconfig())
        yield Place(product, simulator, client, settings, simulator)
        await client.close()
        await simulator.stop()
        return
    async with AsyncExitStack() as stack:
        real = Path(os.environ["KOVRA_TEST_KUBECONFIG"])
        admin = await from_kubeconfig(real)
        stack.push_async_callback(admin.close)
        await prepare(admin, registry="own.test")
        own = tmp_path_factory.mktemp("account") / "kubeconfig"
        own.write_text(json.dumps(await account_kubeconfig(admin, real, WORKER)))
        door = await stack.enter_async_context(door_to(own))
        kubeconfig.write_text(json.dumps(door.kubeconfig()))
        registry = {"endpoint": os.environ["KOVRA_TEST_REGISTRY"], "plain_http": True, "allow_private": True}
        settings = settings_for(
            product.database, keyring, registries={"registry.test": registry}, cluster_user=USER,
            **often | {"settling_s": 1, "progress_deadline_s": 60},
        )  # fmt: skip
        try:
            yield Place(product, door, admin, settings)
        finally:
            await _remove_namespaces(product, admin)


@pytest.fixture(scope="module")
async def place(idle: Place) -> AsyncIterator[Place]:
    """The whole product."""
    async with working(idle.settings):
        yield idle


async def _remove_namespaces(product: Product, admin: ClusterClient) -> None:
    """Its own: other tests are on the same node at the same time."""
    for (org_id,) in await product.sql("select id from organizations"):
        owned = f"kovra.io/organization={bare('org', org_id)}"
        for item in (await admin.list("v1", "Namespace", labels=owned))["items"]:
            await admin.delete(ObjectRef.of({"apiVersion": "v1", "kind": "Namespace", **item}))

"""One contract for every API server: the simulator always, a real one where there is one. Where they differ, the
simulator is wrong.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException

from kovra.adapters.cluster.client import ClusterClient, path_of
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from kovra.adapters.cluster.workload import ObjectRef
from tests.support.control_plane import real_cluster


@pytest.fixture(scope="session")
def real() -> Iterator[Path | None]:
    """The kubeconfig of a real cluster, or None."""
    with real_cluster() as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="module", params=["simulator", pytest.param("real", marks=pytest.mark.cluster)])
def api_server(request: pytest.FixtureRequest) -> str:
    """Which API server the test talks to."""
    return str(request.param)


@pytest.fixture(scope="module")
async def client(api_server: str, request: pytest.FixtureRequest) -> AsyncIterator[ClusterClient]:
    if api_server == "real":
        found = await from_kubeconfig(request.getfixturevalue("real"))
        yield found
        await found.close()
        return
    simulator = Simulator(SimulatorOptions(speed=20))
    await simulator.start()
    found = await from_kubeconfig(simulator.kubeconfig())
    yield found
    await found.close()
    await simulator.stop()


async def fresh_namespace(client: ClusterClient, name: str) -> None:
    """A namespace whose service account is there: nothing runs before it."""
    await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = ObjectRef(api_version="v1", kind="ServiceAccount", namespace=name, name="default")
    async with asyncio.timeout(60):
        while not await client.find(account):
            await asyncio.sleep(0.05)


@pytest.fixture
async def namespace(client: ClusterClient) -> AsyncIterator[str]:
    name = f"contract-{secrets.token_hex(4)}"
    await fresh_namespace(client, name)
    yield name
    await client.delete(ObjectRef(api_version="v1", kind="Namespace", namespace="", name=name))


def config_map(namespace: str, name: str = "c", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"suite": "contract"}},
        "data": data,
    }


def deployment(
    namespace: str, *, image: str = "registry.test/kovra/ok:1", replicas: int = 1, **env: str
) -> dict[str, Any]:
    container = {"name": "app", "image": image, "env": [{"name": k, "value": v} for k, v in env.items()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container]}},
        },
    }


class Raw:
    """Calls as they are, without our own retries and error classes."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client, self.namespace = client, namespace

    async def __call__(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        """(status, parsed body)."""
        pairs = list(query.items())
        request = await self._client._api.param_serialize(
            method,
            path,
            query_params=pairs,
            header_params={"Content-Type": content, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client._api.call_api(*request, _request_timeout=10)
        except ApiException as refused:
            return int(refused.status or 0), _parsed(str(refused.body or ""))
        return int(answer.status), _parsed((await answer.response.read()).decode())

    def at(self, kind: str, name: str = "", version: str = "v1") -> str:
        """The path of an object of the namespace."""
        return path_of(version, kind, self.namespace, name)


def _parsed(text: str) -> Any:
    """Paths outside the API are answered with plain text."""
    return json.loads(text) if text.startswith("{") else text


@pytest.fixture
def raw(client: ClusterClient, namespace: str) -> Raw:
    return Raw(client, namespace)

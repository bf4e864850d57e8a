"""Environments on a customer's own cluster: everything of them is there, and nothing of them in Kovra's."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.worker import Worker
from tests.support.customers import Customer
from tests.support.product import App, Caller, Product


async def app_on(owner: Caller, cluster: dict[str, Any], image: str = "registry.test/kovra/ok:1") -> App:
    """An app, in an environment on this cluster."""
    slug = f"p{secrets.token_hex(4)}"
    project = await owner.post("/v1/projects", {"name": slug, "slug": slug})
    body = {"project": slug, "name": "Theirs", "slug": "theirs", "cluster": cluster["slug"]}
    environment = await owner.post("/v1/environments", body)
    made = await owner.post("/v1/apps", {"project": slug, "name": "Web", "slug": "web", "image": image})
    pairs = (await owner.get(f"/v1/app-environments?app={made['id']}"))["data"]
    pair = next(p for p in pairs if p["environment_id"] == environment["id"])
    return App(caller=owner, project=project, environment=environment, app=made, pair=pair)


async def looked_at(owner: Caller, cluster: dict[str, Any]) -> Any:
    """The cluster after its first look."""
    for _ in range(3000):
        found = await owner.get(f"/v1/clusters/{cluster['id']}")
        if found["checked_at"]:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


def namespace(app: App) -> str:
    return "kv-" + app.environment["id"][4:]


def objects(simulator: Simulator, app: App) -> set[str]:
    kinds = ("Namespace", "Deployment", "Secret", "Service", "NetworkPolicy", "Pod")
    place = namespace(app)
    return {
        k
        for k in kinds
        for o in simulator.store.list(k)
        if place in (o["metadata"].get("namespace"), o["metadata"]["name"])
    }


@pytest.fixture(scope="module")
async def ada(product: Product, worker: Worker) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def cluster(ada: Caller, theirs: Customer) -> Any:
    return await ada.cluster(theirs.kubeconfig)


async def test_a_registered_cluster_is_looked_at(ada: Caller, cluster: Any) -> None:
    found = await looked_at(ada, cluster)
    assert found["health"] == "healthy", found
    assert found["report"]["missing_rights"] == []
    assert found["report"]["pod_security"] == "yes"
    assert found["report"]["network_policies"] == "unknown"
    assert found["encrypts_secrets"] == "unknown"
    (changed,) = await ada.events("cluster.health_changed", cluster["id"])
    assert changed["payload"]["health"] == "healthy"


async def test_a_deployment_goes_to_the_cluster_of_its_environment(
    ada: Caller, cluster: Any, theirs: Customer, simulator: Simulator
) -> None:
    app = await app_on(ada, cluster)
    deployment = await app.deploy(environment="theirs")
    assert deployment["outcome"] == "live", deployment
    assert {"Namespace", "Deployment", "Secret", "Service", "NetworkPolicy", "Pod"} <= objects(theirs.simulator, app)
    assert objects(simulator, app) == set()
    at_home = await app.deploy(environment="production")
    assert at_home["outcome"] == "live", at_home
    assert (await ada.get(f"/v1/environments/{app.environment['id']}"))["cluster_id"] == cluster["id"]

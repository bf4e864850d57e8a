"""Environments on a customer's own cluster: everything of them is there, and nothing of them in Kovra's."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.worker import Worker
from kovra.features.clusters.service.scope import Scope
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode, new_id
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
    return await ada.cluster(theirs.kubeconfig, apps_domain="apps.example.org")


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
    (route,) = theirs.simulator.store.list("HTTPRoute")
    assert (await app.now())["url"] == f"https://{route['spec']['hostnames'][0]}"
    assert route["spec"]["hostnames"][0].endswith(".apps.example.org")
    at_home = await app.deploy(environment="production")
    assert at_home["outcome"] == "live", at_home
    assert (await ada.get(f"/v1/environments/{app.environment['id']}"))["cluster_id"] == cluster["id"]


async def test_a_cluster_with_environments_is_not_removed(ada: Caller, theirs: Customer) -> None:
    cluster = await ada.cluster(theirs.kubeconfig)
    app = await app_on(ada, cluster)
    refused = await ada.send("DELETE", f"/v1/clusters/{cluster['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "cluster_in_use")
    assert app.environment["id"] in refused.json()["detail"]
    empty = await ada.cluster(theirs.kubeconfig)
    assert (await ada.send("DELETE", f"/v1/clusters/{empty['id']}")).status_code == 204
    assert (await ada.send("GET", f"/v1/clusters/{empty['id']}")).status_code == 404


async def test_only_an_owner_consents_and_nothing_is_placed_before(
    ada: Caller, product: Product, theirs: Customer
) -> None:
    cluster = await ada.cluster(theirs.kubeconfig, consent=False)
    admin = await product.member(ada, "admin")
    path, wish = f"/v1/clusters/{cluster['id']}", {"accept_unencrypted_secrets": True}
    refused = await admin.send("PATCH", path, wish)
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "clusters:accept_risk")
    project = await ada.post("/v1/projects", {"name": f"P {secrets.token_hex(4)}"})
    body = {"project": project["slug"], "name": "Theirs", "cluster": cluster["slug"]}
    before = await ada.send("POST", "/v1/environments", body)
    assert (before.status_code, before.json()["code"]) == (409, "secrets_not_encrypted")
    await ada.patch(path, wish)
    assert (await ada.post("/v1/environments", body))["cluster_id"] == cluster["id"]
    assert len(await ada.events("cluster.risk_accepted", cluster["id"])) == 1


async def test_a_consent_taken_back_ends_deployments_before_a_secret_is_written(ada: Caller, theirs: Customer) -> None:
    cluster = await ada.cluster(theirs.kubeconfig)
    app = await app_on(ada, cluster)
    await ada.patch(f"/v1/clusters/{cluster['id']}", {"accept_unencrypted_secrets": False})
    deployment = await app.deploy(environment="theirs")
    assert (deployment["outcome"], deployment["reason"]["code"]) == ("failed", "secrets_not_encrypted")
    assert "Secret" not in objects(theirs.simulator, app)


async def test_a_cluster_of_another_organization_is_not_there(ada: Caller, product: Product, cluster: Any) -> None:
    """T001: neither to be seen nor to place anything on."""
    bob = await product.sign_up("Bob")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/actions/check")):
        answer = await bob.send(method, f"/v1/clusters/{cluster['id']}{path}", {} if method == "PATCH" else None)
        assert answer.status_code == 404
    project = await bob.post("/v1/projects", {"name": "Mine"})
    body = {"project": project["slug"], "name": "Theirs", "cluster": cluster["id"]}
    refused = await bob.send("POST", "/v1/environments", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/cluster")


async def test_credentials_are_shown_nowhere_and_opening_them_is_told(
    ada: Caller, cluster: Any, theirs: Customer
) -> None:
    token = theirs.simulator.kubeconfig()["users"][0]["user"]["token"]
    for path in ("/v1/clusters", f"/v1/clusters/{cluster['id']}", "/v1/events?limit=200"):
        assert token not in (await ada.send("GET", path)).text
    assert await ada.events("cluster.credentials_opened", cluster["id"])


async def test_what_a_cluster_says_of_others_is_not_believed(ada: Caller, cluster: Any, worker: Worker) -> None:
    """Its owner can write any label: another organization's, or another of their own environments'."""
    app, other = await app_on(ada, cluster), await ada.app()
    org_id, cluster_id = decode("org", ada.organization["id"]), decode("clu", cluster["id"])
    here, elsewhere = decode("aev", app.pair["id"]), decode("aev", other.pair["id"])
    assert org_id and cluster_id and here and elsewhere
    scope = Scope(worker.registry.get(Database), org_id, cluster_id)
    read = asyncio.Event()
    scope.when_read(read.set)
    reading = asyncio.create_task(scope.run())
    async with asyncio.timeout(60):
        await read.wait()
    reading.cancel()
    assert scope.admits(org_id, here)
    assert not scope.admits(org_id, elsewhere)
    assert not scope.admits(new_id(), here)

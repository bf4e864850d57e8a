"""Maintenance: the address answers 503 with a page while instances go on running."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.page import page_rights
from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.workload import ObjectRef
from kovra.entrypoints.api import create_app
from kovra.entrypoints.page import answer
from kovra.entrypoints.worker import working
from tests.conftest import settings_for, simulated_registry
from tests.features.deployments.test_worker_rights import Asked
from tests.features.projects.test_purging import until
from tests.support.postgres import TestDatabase
from tests.support.product import App, Product

SERVICE = "kovra-maintenance"
READY = {"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}}


@pytest.fixture(scope="module")
async def product(database: TestDatabase, keyrings: Path) -> AsyncIterator[Product]:
    settings = settings_for(database, keyrings / "api.json", maintenance_service=SERVICE)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Product(app=app, database=database, settings=settings)


@pytest.fixture(scope="module", params=["gateway", "ingress"])
async def served(
    request: pytest.FixtureRequest, product: Product, simulator: Simulator, keyrings: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Product]:  # fmt: skip
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, routing=request.param,
        maintenance_service=SERVICE, drift_check_s=0.5, sweep_s=0.25,
        registries={"registry.test": simulated_registry(simulator)},
    )  # fmt: skip
    async with working(settings):
        product.simulator = simulator
        yield product


async def visited(simulator: Simulator, app: App) -> httpx.Response:
    """What a visitor of the app's address gets."""
    host = app.pair["url"].removeprefix("https://").removeprefix("http://").partition(":")[0]
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"{simulator.apps_url}/", headers={"Host": host, "Accept": "application/json"})


async def answers(simulator: Simulator, app: App, status: int) -> None:
    async def does() -> bool:
        return (await visited(simulator, app)).status_code == status

    await until(does)


async def test_the_address_answers_503_and_instances_go_on(served: Product, simulator: Simulator) -> None:
    app = await (await served.sign_up()).app(processes=READY)
    assert (await app.deploy())["outcome"] == "live"
    await answers(simulator, app, 200)
    namespace = "kv-" + app.environment["id"][4:]
    before = [pod["metadata"]["uid"] for pod in simulator.store.list("Pod", namespace)]
    shown = await app.caller.patch(app.path, {"maintenance": True})
    assert (shown["maintenance"], shown["url"]) == (True, app.pair["url"])
    await answers(simulator, app, 503)
    page = await visited(simulator, app)
    assert (page.headers["retry-after"], "maintenance" in page.text) == ("120", True)
    assert [pod["metadata"]["uid"] for pod in simulator.store.list("Pod", namespace)] == before
    await app.caller.patch(app.path, {"maintenance": True})
    assert (await app.caller.patch(app.path, {"maintenance": False}))["maintenance"] is False
    await answers(simulator, app, 200)
    told = await app.caller.events("app_environment.maintenance_changed", app.pair["id"])
    assert [event["payload"]["maintenance"] for event in told] == [True, False]


async def test_a_deployment_does_not_end_it(served: Product, simulator: Simulator) -> None:
    """Neither one that is started in it, nor one that was under way."""
    app = await (await served.sign_up()).app(processes=READY)
    assert (await app.deploy())["outcome"] == "live"
    under_way = await app.start(image="registry.test/kovra/slow:1")

    async def verifying() -> bool:
        return bool((await app.caller.get(f"/v1/deployments/{under_way['id']}"))["phase"] == "verifying")

    await until(verifying)
    await app.caller.patch(app.path, {"maintenance": True})
    await answers(simulator, app, 503)
    assert (await app.finished(under_way))["outcome"] == "live"
    assert (await visited(simulator, app)).status_code == 503
    assert (await app.deploy(image="registry.test/kovra/ok:2"))["outcome"] == "live"
    assert (await app.deploy(image="registry.test/kovra/crash:1"))["outcome"] == "failed"
    assert (await visited(simulator, app)).status_code == 503

    async def in_sync() -> bool:
        return bool((await app.caller.get(f"{app.path}/drift"))["state"] == "in_sync")

    await until(in_sync)
    await app.caller.patch(app.path, {"maintenance": False})
    await answers(simulator, app, 200)
    assert (await visited(simulator, app)).json()["release"] == "3"


async def test_the_page_s_route_goes_with_the_app(served: Product, simulator: Simulator) -> None:
    app = await (await served.sign_up()).app()
    assert (await app.deploy())["outcome"] == "live"
    await app.caller.patch(app.path, {"maintenance": True})
    await answers(simulator, app, 503)
    await app.caller.ok("DELETE", f"/v1/apps/{app.app['id']}")
    await answers(simulator, app, 404)


async def test_what_no_address_leads_to_has_no_maintenance(product: Product) -> None:
    ada = await product.sign_up()
    hidden = await ada.app(processes={"worker": {}})
    refused = await ada.send("PATCH", hidden.path, {"maintenance": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_routed")
    assert (await hidden.now())["maintenance"] is False
    assert await ada.events("app_environment.maintenance_changed") == []


async def test_without_a_page_nobody_is_sent_there(database: TestDatabase, keyrings: Path) -> None:
    settings = settings_for(database, keyrings / "api.json")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        shop = await (await Product(app=app, database=database, settings=settings).sign_up()).app()
        refused = await shop.caller.send("PATCH", shop.path, {"maintenance": True})
        assert (refused.status_code, refused.json()["code"]) == (409, "maintenance_not_configured")


async def test_a_page_removed_by_hand_returns(served: Product, simulator: Simulator) -> None:
    """Drift knows the page's route as it knows an app's."""
    app = await (await served.sign_up()).app()
    assert (await app.deploy())["outcome"] == "live"
    await app.caller.patch(app.path, {"maintenance": True})
    await answers(simulator, app, 503)
    client = await from_kubeconfig(simulator.kubeconfig())
    name = f"aev-{app.pair['id'][4:]}"
    for api_version, kind in (("gateway.networking.k8s.io/v1", "HTTPRoute"), ("networking.k8s.io/v1", "Ingress")):
        await client.delete(ObjectRef(api_version=api_version, kind=kind, namespace="kovra-gateway", name=name))
    await client.close()
    await answers(simulator, app, 503)


class InGateway(Asked):
    """What the worker asks for in the gateway's namespace."""

    def _note(self, request: web.Request, *, created: bool) -> None:
        if "/namespaces/kovra-gateway/" in request.path:
            super()._note(request, created=created)


async def test_each_right_beside_the_gateway_is_needed_and_no_other(served: Product, simulator: Simulator) -> None:
    """T131: least privilege; of the kind that this installation's routes are."""
    app = await (await served.sign_up()).app()
    assert (await app.deploy())["outcome"] == "live"
    asked = InGateway()
    simulator.faults = asked
    await app.caller.patch(app.path, {"maintenance": True})
    await answers(simulator, app, 503)
    await app.caller.patch(app.path, {"maintenance": False})
    await answers(simulator, app, 200)
    (role, _) = page_rights("kovra-gateway", "worker")
    (used,) = {group for _, group, _ in asked.inside}
    granted = {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert asked.inside == {right for right in granted if right[1] == used}


async def test_one_page_for_all_methods_and_hosts() -> None:
    transport = httpx.ASGITransport(app=answer)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://any.test") as client:
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            answered = await client.request(method, "/whatever?x=1", headers={"Host": "shop.apps.test"})
            assert (answered.status_code, answered.headers["retry-after"]) == (503, "120")
            assert "shop" not in answered.text
        assert (await client.head("/")).content == b""

"""The whole product on real Kubernetes with running pods: api, worker and streamer, the latter two under their own few
rights and behind the admission policies. What is only true on a network is tried by connecting.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.manifests.streamer import NAME as STREAMER
from kovra.adapters.cluster.manifests.worker import WORKER
from kovra.adapters.cluster.workload import ObjectRef
from kovra.entrypoints import streamlink
from kovra.entrypoints.api import create_app
from kovra.entrypoints.streamer import streaming
from kovra.entrypoints.worker import working
from kovra.foundation.db.embedded import free_port
from kovra.foundation.ids import decode
from tests.conftest import settings_for
from tests.features.logs.conftest import Streamed, lower
from tests.features.logs.serving import served
from tests.features.logs.test_shells import shell
from tests.support.cluster_accounts import USER, account_kubeconfig, prepare
from tests.support.postgres import TestDatabase
from tests.support.product import App

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]
CANARY: Final = "registry.test/kovra/ok:1"
ROLLOUTS: Final = int(os.environ.get("KOVRA_ROLLOUTS", "3"))
"""How many are made under load."""


@dataclass
class OnNode(Streamed):
    """The product on a node, and the administrator's eyes on the cluster."""

    admin: ClusterClient | None = None

    async def list(self, kind: str, app: App, api_version: str = "v1") -> list[dict[str, Any]]:
        assert self.admin is not None
        found = await self.admin.list(api_version, kind, namespace(app))
        return list(found["items"])

    async def pod_address(self, app: App) -> str:
        pods = [p for p in await self.list("Pod", app) if p["status"]["phase"] == "Running"]
        return str(pods[0]["status"]["podIP"])


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


@pytest.fixture(scope="module")
async def product(
    database: TestDatabase, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OnNode]:
    folder = tmp_path_factory.mktemp("node")
    kubeconfig = Path(os.environ["KOVRA_TEST_KUBECONFIG"])
    async with AsyncExitStack() as stack:
        admin = await from_kubeconfig(kubeconfig)
        stack.push_async_callback(admin.close)
        await prepare(admin, registry="own.test")
        files = {}
        for account in (WORKER, STREAMER):
            files[account] = folder / account
            files[account].write_text(json.dumps(await account_kubeconfig(admin, kubeconfig, account)))
        link = streamlink.make(folder / "link", free_port())
        registry = {"endpoint": os.environ["KOVRA_TEST_REGISTRY"], "plain_http": True, "allow_private": True}
        settings = settings_for(database, keyrings / "api.json", canary_image=CANARY, **lower(link.api))
        worker = settings_for(
            database, keyrings / "worker.json", kubeconfig=files[WORKER], cluster_user=USER, log_store="postgres",
            canary_image=CANARY,
            registries={"registry.test": registry}, settling_s=2, progress_deadline_s=60,
        )  # fmt: skip
        made = OnNode(
            app=create_app(settings), database=database, settings=settings, link=link, kubeconfig=files[STREAMER],
            admin=admin,
        )  # fmt: skip
        await stack.enter_async_context(streaming(made.streamer_settings()))
        await stack.enter_async_context(working(worker))
        made.url = await stack.enter_async_context(served(made.app, settings))
        yield made
        await _remove_namespaces(made, admin)


async def _remove_namespaces(product: OnNode, admin: ClusterClient) -> None:
    """Its own: other tests are on the same node at the same time."""
    for (org_id,) in await product.sql("select id from organizations"):
        labels = f"kovra.io/organization={bare('org', org_id)}"
        for item in (await admin.list("v1", "Namespace", labels=labels))["items"]:
            await admin.delete(ObjectRef.of({"apiVersion": "v1", "kind": "Namespace", **item}))


@pytest.fixture(scope="module")
async def app(product: OnNode) -> App:
    ada = await product.sign_up()
    made = await ada.app(processes={"web": {"port": 8080, "checks": {"readiness": {"path": "/healthz"}}}})
    done = await made.deploy()
    assert done["outcome"] == "live", json.dumps(done["reason"])
    return made


async def test_a_release_goes_live_fails_and_comes_back(product: OnNode, app: App) -> None:
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "canary-on-a-node"}})
    second = await app.deploy(image="registry.test/kovra/ok:2")
    assert (second["outcome"], second["release"]["number"]) == ("live", 2)
    failed = await app.deploy(image="registry.test/kovra/crash:1")
    assert (failed["outcome"], failed["reason"]["code"]) == ("failed", "crash_loop")
    assert "exit code 3" in failed["reason"]["evidence"][0]
    assert failed["restored_release"] == second["release"]["id"]
    back = await app.finished(await app.caller.post(f"{app.path}/actions/rollback", {"release": 1}))
    assert back["outcome"] == "live", back["reason"]
    (pod,) = [p for p in await product.list("Pod", app) if p["status"]["phase"] == "Running"][:1]
    assert "canary-on-a-node" not in json.dumps(pod)


async def test_a_busy_process_gets_more_instances_and_keeps_them_through_a_deployment(product: OnNode) -> None:
    """The autoscaler of a real cluster, by what metrics-server measures."""
    bounds = {"min": 1, "max": 3, "cpu": 30}
    busy = await (await product.sign_up()).app(processes={"web": {"port": 8080, "autoscale": bounds}})
    assert (await busy.deploy())["outcome"] == "live"
    await _open(product, busy)
    stop = asyncio.Event()
    burning = asyncio.create_task(_burn(product, busy, stop))
    try:
        await _until(
            lambda: product.list("Deployment", busy, "apps/v1"), lambda ds: ds[0]["spec"]["replicas"] == 3, 120
        )
        again = await busy.deploy(image="registry.test/kovra/ok:2")
        assert (again["outcome"], again["instances"]) == ("live", {"web": {"ready": 3, "wanted": 3}})
    finally:
        stop.set()
        await burning


async def _burn(product: OnNode, app: App, stop: asyncio.Event) -> None:
    """Keep the instances of an app busy."""
    async with httpx.AsyncClient(timeout=10) as client:
        while not stop.is_set():
            pods = [p["status"].get("podIP") for p in await product.list("Pod", app)]
            asked = [client.get(f"http://{address}:8080/burn?s=2") for address in pods if address]
            await asyncio.gather(*asked, return_exceptions=True)
            await asyncio.sleep(0.1)


async def test_logs_and_metrics_of_real_pods_are_read_through_the_streamer(product: OnNode, app: App) -> None:
    page = await _until(lambda: app.caller.get(f"{app.path}/logs?limit=5"), lambda page: page["data"])
    assert {"time", "pod", "process", "line"} <= set(page["data"][0])
    now = await _until(lambda: app.caller.get(f"{app.path}/metrics"), lambda found: found["processes"])
    assert now["source"] == "cluster"
    assert now["processes"][0]["ready"] >= 1


async def _until(ask: Any, good: Any, seconds: float = 60) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            found = await ask()
            if good(found):
                return found
            await asyncio.sleep(0.5)


async def reached(product: OnNode, app: App, *targets: str) -> dict[str, bool]:
    """Which of these host:port an app's own pod gets a connection to."""

    async def one(target: str) -> bool:
        async with shell(product, app, command=["/testapp", "connect", target]) as terminal:
            return await terminal.exit() == 0

    found = await asyncio.gather(*(one(target) for target in targets))
    return dict(zip(targets, found, strict=True))


@pytest.fixture(scope="module")
async def others(product: OnNode) -> App:
    eve = await product.sign_up("Eve")
    made = await eve.app()
    done = await made.deploy()
    assert done["outcome"] == "live", json.dumps(done["reason"])
    return made


async def test_a_pod_reaches_nothing_of_others_and_nothing_of_the_platform(
    product: OnNode, app: App, others: App
) -> None:
    """T134: by connecting from inside, and not by reading policies."""
    theirs = await product.pod_address(others)
    (service,) = await product.list("Service", others)
    closed = await reached(
        product, app,
        f"{theirs}:8080",
        f"{service['spec']['clusterIP']}:8080",
        f"web.{namespace(others)}.svc.cluster.local:8080",
        "10.96.0.1:443",
        "10.250.0.2:6443",
        "10.250.0.2:10250",
        "169.254.169.254:80",
        "metrics-server.kube-system.svc.cluster.local:443",
    )  # fmt: skip
    assert closed == dict.fromkeys(closed, False)


async def test_a_pod_reaches_its_environment_and_the_internet(product: OnNode, app: App) -> None:
    own = await product.pod_address(app)
    opened = await reached(product, app, "web:8080", f"{own}:8080", "203.0.113.10:80")
    assert opened == dict.fromkeys(opened, True)


async def _answers(address: str, stop: asyncio.Event, tally: dict[str, int]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        while not stop.is_set():
            try:
                # A connection of its own each time, as a gateway that has just learned of an instance opens one.
                answer = await client.get(f"http://{address}/", headers={"Connection": "close"})
                tally[str(answer.status_code)] = tally.get(str(answer.status_code), 0) + 1
            except httpx.HTTPError as error:
                tally[type(error).__name__] = tally.get(type(error).__name__, 0) + 1
            await asyncio.sleep(0.01)


async def _open(product: OnNode, app: App) -> None:
    """Let this machine reach its instances."""
    assert product.admin is not None
    here = {"from": [{"ipBlock": {"cidr": "10.250.0.1/32"}}]}
    opening = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [here]}
    policy = {"metadata": {"name": "load", "namespace": namespace(app)}, "spec": opening}
    await product.admin.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **policy})


async def test_no_request_is_lost_in_rollouts(product: OnNode, app: App) -> None:
    """Under load through the Service, while every instance is replaced again and again."""
    await _open(product, app)
    (service,) = await product.list("Service", app)
    address = f"{service['spec']['clusterIP']}:8080"
    await _until(lambda: _opens(address), bool)
    stop, tally = asyncio.Event(), dict[str, int]()
    load = [asyncio.create_task(_answers(address, stop, tally)) for _ in range(4)]
    try:
        for number in range(ROLLOUTS):
            made = await app.start(image=f"registry.test/kovra/ok:{2 - number % 2}")
            done = await app.finished(made, wait=60)
            assert done["outcome"] == "live", json.dumps(done["reason"])
    finally:
        stop.set()
        await asyncio.gather(*load)
    assert set(tally) == {"200"}, tally
    assert tally["200"] > 20 * ROLLOUTS
    print(f"{ROLLOUTS} rollouts: {tally}")


async def _opens(address: str) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
            return (await client.get(f"http://{address}/healthz")).status_code == 200
    except httpx.HTTPError:
        return False


async def test_what_is_deleted_is_gone_from_the_cluster(product: OnNode, others: App) -> None:
    await others.caller.ok("DELETE", f"/v1/apps/{others.app['id']}")
    await _until(lambda: product.list("Deployment", others, "apps/v1"), lambda found: not found)
    await _until(lambda: product.list("Pod", others), lambda found: not found)
    assert await product.list("Service", others) == []


async def test_a_wall_and_a_workload_return(product: OnNode) -> None:
    """T131: what was done by hand is undone within seconds, under the worker's own few rights."""
    assert product.admin is not None
    app = await (await product.sign_up()).app()
    assert (await app.deploy())["outcome"] == "live"

    async def report(state: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while (found := await app.caller.get(f"{app.path}/drift"))["state"] != state:
                await asyncio.sleep(0.5)
        return dict(found)

    assert (await report("in_sync"))["items"] == []
    wall = {"api_version": "networking.k8s.io/v1", "kind": "NetworkPolicy", "namespace": namespace(app)}
    await product.admin.delete(ObjectRef(name="deny-all", **wall))
    (deployment,) = await app_deployments(product, app)
    path = f"/apis/apps/v1/namespaces/{namespace(app)}/deployments/{deployment['metadata']['name']}"
    by_hand: list[dict[str, Any]] = [
        {"op": "replace", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": "/spec/template/spec/hostAliases", "value": [{"ip": "192.0.2.1", "hostnames": ["x"]}]},
    ]
    await product.admin._json(
        "PATCH", path, query=[("fieldManager", "kubectl-edit")], body=by_hand, content="application/json-patch+json"
    )
    async with asyncio.timeout(60):
        while True:
            items = (await app.caller.get(f"{app.path}/drift"))["items"]
            if {i["kind"] for i in items if i["restored_at"]} == {"NetworkPolicy", "Deployment"}:
                break
            await asyncio.sleep(0.5)
    (after,) = await app_deployments(product, app)
    assert after["spec"] == deployment["spec"]
    assert await product.admin.find(ObjectRef(name="deny-all", **wall)) is not None
    assert (await report("in_sync"))["state"] == "in_sync"


async def app_deployments(product: OnNode, app: App) -> list[dict[str, Any]]:
    return await product.list("Deployment", app, "apps/v1")


async def test_isolation_is_proven_by_connecting(product: OnNode) -> None:
    """T129, T130: by a pod of the environment, against the real API server, kubelet, metadata service and another's pod."""
    other, app = await (await product.sign_up("Eve")).app(), await (await product.sign_up()).app()
    for one in (other, app):
        assert (await one.deploy())["outcome"] == "live"
    asked = await app.caller.send("POST", f"/v1/environments/{app.environment['id']}/actions/prove-isolation")
    assert asked.status_code == 202, asked.text
    async with asyncio.timeout(120):
        while (proof := await app.caller.get(asked.headers["location"]))["finished_at"] is None:
            await asyncio.sleep(1)
    assert (proof["state"], proof["reason"], proof["simulated"]) == ("proven", None, False), proof
    assert {a["target"]: a["seen"] for a in proof["attempts"]} == {
        "dns": "open", "api_server": "closed", "api_server_node": "closed", "kubelet": "closed",
        "metadata_service": "closed", "platform_service": "closed", "other_organization": "closed",
    }  # fmt: skip


async def _beside_the_gateway(product: OnNode, *targets: str) -> dict[str, bool]:
    """Which of these host:port a pod in the gateway's namespace gets a connection to."""
    assert product.admin is not None
    place = {"name": f"outside-{secrets.token_hex(4)}", "namespace": "kovra-gateway"}
    await product.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place["namespace"]}})
    container = {"name": "app", "image": CANARY, "command": ["/testapp", "connect", *targets]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    await product.admin.apply({"apiVersion": "v1", "kind": "Pod", "metadata": place, "spec": spec})
    ref = ObjectRef(api_version="v1", kind="Pod", **place)

    async def ended() -> bool:
        assert product.admin is not None
        return bool(((await product.admin.get(ref)).get("status") or {}).get("phase") in ("Succeeded", "Failed"))

    await _until(ended, bool, 120)
    lines = (await product.admin.logs(place["namespace"], place["name"])).splitlines()
    await product.admin.delete(ref, grace_s=0)
    return {target: any(line.startswith(f"open {target}") for line in lines) for target in targets}


async def test_a_private_app_is_reached_inside_its_organization_alone(product: OnNode) -> None:
    """T137: by connecting: from its environment, from another of its organization, from another organization, from where
    routes lead, and from outside of the cluster.
    """
    ada, eve = await product.sign_up(), await product.sign_up("Eve")
    await product.sql("update organizations set plan = 'business' where id = $1", decode("org", ada.organization["id"]))
    private, public, theirs = [await who.app() for who in (ada, ada, eve)]
    await ada.patch(private.path, {"exposure": "private"})
    for one in (private, public, theirs):
        done = await one.deploy()
        assert done["outcome"] == "live", json.dumps(done["reason"])
    assert await product.list("HTTPRoute", private, "gateway.networking.k8s.io/v1") == []
    host = f"{(await private.now())['internal_host']}:8080"
    hidden, open_one = [f"{await product.pod_address(one)}:8080" for one in (private, public)]
    assert await reached(product, private, "web:8080", "203.0.113.10:80") == {
        "web:8080": True, "203.0.113.10:80": False,
    }  # fmt: skip
    assert await reached(product, public, host, "203.0.113.10:80") == {host: True, "203.0.113.10:80": True}
    assert await reached(product, private, open_one) == {open_one: False}
    assert await reached(product, theirs, host, hidden) == {host: False, hidden: False}
    assert await _beside_the_gateway(product, hidden, open_one) == {hidden: False, open_one: True}
    assert not await _opens(hidden)

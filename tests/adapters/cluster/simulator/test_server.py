"""What answers besides the objects: credentials, the registry, apps' pages, logs, faults, lost state."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from kovra.adapters.cluster.client import path_of
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.errors import ClusterDenied, WatchExpired
from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from tests.adapters.cluster.simulator.conftest import Cluster

Answer = tuple[int, dict[str, str], bytes]


async def fetch(url: str, method: str = "GET", **headers: str) -> Answer:
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()


async def test_without_its_token_it_refuses(simulated: Simulator) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer ÿ"}):
        status, seen, body = await fetch(f"{simulated.url}/api/v1/namespaces", **headers)
        assert (status, json.loads(body)["kind"], seen["kovra-simulated"]) == (401, "Status", "true")
    config = simulated.kubeconfig()
    config["users"][0]["user"]["token"] = "other"
    client = await from_kubeconfig(config)
    with pytest.raises(ClusterDenied):
        await client.list("v1", "Namespace")
    await client.close()


async def test_tags_lead_to_digests_and_digests_to_the_same(simulated: Simulator) -> None:
    base = f"{simulated.registry_url}/v2/kovra"
    status, by_tag, manifest = await fetch(f"{base}/ok/manifests/1")
    digest = by_tag["docker-content-digest"]
    assert (status, digest[:7], by_tag["kovra-simulated"]) == (200, "sha256:", "true")
    assert (await fetch(f"{base}/ok/manifests/{digest}"))[2] == manifest
    head = await fetch(f"{base}/ok/manifests/1", "HEAD")
    assert (head[0], head[1]["docker-content-digest"], head[2]) == (200, digest, b"")
    config = json.loads(manifest)["config"]["digest"]
    blob = json.loads((await fetch(f"{base}/ok/blobs/{config}"))[2])
    assert blob["config"]["User"] == "65532"
    other = (await fetch(f"{base}/ok/manifests/2"))[1]["docker-content-digest"]
    assert other != digest


@pytest.mark.parametrize("path", ["missing/manifests/1", "ok/manifests/9", "ok/manifests/sha256:" + "0" * 64])
async def test_what_the_registry_lacks_is_an_oci_error(simulated: Simulator, path: str) -> None:
    status, _, body = await fetch(f"{simulated.registry_url}/v2/kovra/{path}")
    assert (status, json.loads(body)["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


async def test_an_unknown_image_is_accepted_with_a_warning(simulated: Simulator) -> None:
    status, headers, _ = await fetch(f"{simulated.registry_url}/v2/library/nginx/manifests/1.27")
    assert status == 200
    assert "behaves as ok" in headers["kovra-simulated-warning"]
    known = await fetch(f"{simulated.registry_url}/v2/kovra/ok/manifests/1")
    assert "kovra-simulated-warning" not in known[1]


async def test_a_pod_is_known_by_its_images_digest(cluster: Cluster) -> None:
    url = f"{cluster.simulator.registry_url}/v2/kovra/crash/manifests/1"
    digest = (await fetch(url))[1]["docker-content-digest"]
    await cluster.deploy(f"crash@{digest}")
    pod = await cluster.waiting("CrashLoopBackOff")
    assert pod["status"]["containerStatuses"][0]["imageID"] == f"registry.test/kovra/crash@{digest}"


async def routed(cluster: Cluster, host: str, form: str) -> None:
    await cluster.apply("v1", "Service", "d", spec={"selector": {"app": "d"}, "ports": [{"port": 8080, "name": "app"}]})
    if form == "HTTPRoute":
        rules: list[Any] = [{"backendRefs": [{"name": "d", "port": 8080}]}]
        spec: dict[str, Any] = {"hostnames": [host], "rules": rules}
        await cluster.apply("gateway.networking.k8s.io/v1", "HTTPRoute", "d", spec=spec)
    else:
        backend = {"service": {"name": "d", "port": {"name": "app"}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        spec = {"rules": [{"host": host, "http": {"paths": paths}}]}
        await cluster.apply("networking.k8s.io/v1", "Ingress", "d", spec=spec)


@pytest.mark.parametrize("form", ["HTTPRoute", "Ingress"])
async def test_an_apps_address_answers_when_a_pod_is_ready(cluster: Cluster, form: str) -> None:
    host = f"{cluster.namespace}.apps.test"
    url = f"{cluster.simulator.apps_url}/some/page"
    assert (await fetch(url, Host=host))[0] == 404
    await routed(cluster, host, form)
    assert (await fetch(url, Host=host))[0] == 503
    await cluster.deploy(container={"env": [{"name": "KOVRA_RELEASE", "value": "7"}]})
    await cluster.rolled_out()
    status, headers, body = await fetch(url, Host=host, Accept="application/json")
    page = json.loads(body)
    assert (status, headers["kovra-simulated"], page["release"], page["simulated"]) == (200, "true", "7", True)
    html = (await fetch(url, Host=host))[2].decode()
    assert "simulated" in html
    assert "GET /some/page" in await cluster.client.logs(cluster.namespace, page["pod"])


async def test_values_of_secrets_are_not_on_the_page(cluster: Cluster) -> None:
    host = f"{cluster.namespace}.apps.test"
    await routed(cluster, host, "HTTPRoute")
    await cluster.apply("v1", "Secret", "env", type="Opaque", data={"TOKEN": "aHVzaC1odXNo"})
    await cluster.deploy(container={"envFrom": [{"secretRef": {"name": "env"}}]})
    await cluster.rolled_out()
    body = (await fetch(cluster.simulator.apps_url, Host=host))[2]
    assert b"TOKEN" in body
    assert b"hush-hush" not in body


async def test_a_route_without_a_backend_is_not_ready(cluster: Cluster) -> None:
    host = f"{cluster.namespace}.apps.test"
    await cluster.apply("gateway.networking.k8s.io/v1", "HTTPRoute", "d", spec={"hostnames": [host], "rules": []})
    assert (await fetch(cluster.simulator.apps_url, Host=host))[0] == 503


async def logs_of(cluster: Cluster, pod: str, query: str) -> tuple[int, str]:
    token = cluster.simulator.kubeconfig()["users"][0]["user"]["token"]
    url = f"{cluster.simulator.url}/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log?{query}"
    status, _, body = await fetch(url, Authorization=f"Bearer {token}")
    return status, body.decode()


async def test_logs_are_cut_as_asked(cluster: Cluster) -> None:
    await cluster.job("task:1")
    await cluster.until("batch/v1", "Job", "j", lambda j: (j.get("status") or {}).get("succeeded"))
    pod = (await cluster.pods())[0]["metadata"]["name"]
    assert (await logs_of(cluster, pod, ""))[1] == "line 1 of 3\nline 2 of 3\nline 3 of 3\n"
    assert (await logs_of(cluster, pod, "tailLines=1"))[1] == "line 3 of 3\n"
    assert (await logs_of(cluster, pod, "tailLines=0"))[1] == ""
    assert (await logs_of(cluster, pod, "limitBytes=6"))[1] == "line 1"
    assert (await logs_of(cluster, pod, "sinceTime=2100-01-01T00:00:00Z"))[1] == ""
    stamped = (await logs_of(cluster, pod, "timestamps=true"))[1].splitlines()[0].split(" ", 1)
    assert stamped[0].endswith("Z")
    assert stamped[1] == "line 1 of 3"
    for wrong in ("tailLines=many", "sinceTime=yesterday", "container=other", "previous=true"):
        assert (await logs_of(cluster, pod, wrong))[0] == 400, wrong


async def test_following_a_log_ends_with_the_container(cluster: Cluster) -> None:
    await cluster.job("ok:1", "sleep", "30")
    async with asyncio.timeout(60):
        while not (pods := await cluster.pods()) or (pods[0].get("status") or {}).get("phase") != "Running":
            await asyncio.sleep(0.02)
        status, text = await logs_of(cluster, pods[0]["metadata"]["name"], "follow=true")
    assert (status, text.splitlines()[-1]) == (200, "sleep 30: exit 0")


async def test_following_goes_on_after_more_lines_than_are_kept(cluster: Cluster) -> None:
    await cluster.deploy()
    await cluster.rolled_out()
    pod = (await cluster.pods())[0]
    for number in range(1500):
        cluster.simulator.kubelet.log(pod, f"line {number}")
    following = asyncio.create_task(logs_of(cluster, pod["metadata"]["name"], "follow=true&tailLines=1"))
    await asyncio.sleep(0.3)
    cluster.simulator.kubelet.log(pod, "the newest")
    await asyncio.sleep(0.3)
    await cluster.client._json("DELETE", path_of("apps/v1", "Deployment", cluster.namespace, "d"))
    _, text = await asyncio.wait_for(following, 60)
    assert text.splitlines()[:2] == ["line 1499", "the newest"]


async def test_a_closed_watch_ends_quietly_and_a_forgotten_past_is_expired(cluster: Cluster) -> None:
    listed = await cluster.client.list("v1", "Pod", cluster.namespace)
    version = listed["metadata"]["resourceVersion"]

    async def watch() -> list[str]:
        events = cluster.client.watch("v1", "Pod", labels="a=b", resource_version=version, timeout_s=30)
        return [e["type"] async for e in events]

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.2)
    cluster.simulator.close_watches()
    assert await asyncio.wait_for(watching, 60) == []
    await cluster.deploy()
    cluster.simulator.store.forget_history()
    with pytest.raises(WatchExpired):
        await watch()


async def test_a_watcher_that_does_not_read_stops_nobody(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kovra.adapters.cluster.simulator.store.SLOW", 3)
    store = cluster.simulator.store
    stuck: asyncio.Queue[Any] = asyncio.Queue()
    store.watchers.add(stuck)
    for number in range(10):
        await cluster.apply("v1", "ConfigMap", f"c{number}", data={})
    assert stuck not in store.watchers


async def test_lost_state_is_empty_and_later_than_before() -> None:
    simulator = Simulator(SimulatorOptions(speed=20))
    await simulator.start()
    client = await from_kubeconfig(simulator.kubeconfig())
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}}
    before = await client.apply(namespace)
    simulator.lose_state()
    listed = await client.list("v1", "Namespace")
    assert listed["items"] == []
    assert int(listed["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])
    with pytest.raises(WatchExpired):
        version = before["metadata"]["resourceVersion"]
        async for _ in client.watch("v1", "Namespace", labels="", resource_version=version, timeout_s=2):
            pass
    await client.close()
    await simulator.stop()

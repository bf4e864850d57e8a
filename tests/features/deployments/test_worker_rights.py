"""The worker's role against what the worker asks for: nothing is asked for that is not granted, and nothing is granted
that is not asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from kovra.adapters.cluster.client import path_of
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.worker import worker_manifests
from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.simulator.faults import Faults, Handler, is_watch
from kovra.entrypoints.worker import working
from kovra.settings.shapes import QUOTAS
from tests.conftest import settings_for, simulated_registry
from tests.features.projects.test_purging import delete, has_namespace, until, window_is_over
from tests.support.product import App, Product

Right = tuple[str, str, str]
"""Verb, group, resource."""
NARROW: Final = {"free": {**QUOTAS["free"].model_dump(), "container_cpu_millis": 100}}
"""Less for a container than a release command has."""
BY_HAND: Final = "by-hand"
USER: Final = "system:serviceaccount:kovra:kovra-worker"


class Asked(Faults):
    """Which rights the requests need, as an API server's authorizer would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.everywhere: set[Right] = set()
        self.inside: set[Right] = set()

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answered = await super().around(request, handler)
        if request.path.startswith(("/api/", "/apis/")) and request.query.get("fieldManager") != BY_HAND:
            self._note(request, created=answered.status == 201)
        return answered

    def _note(self, request: web.Request, *, created: bool) -> None:
        parts = request.path.strip("/").split("/")
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        inside = rest[0] == "namespaces" and len(rest) > 2
        resource, name, below = [*(rest[2:] if inside else rest), "", ""][:3]
        named = {"GET": "get", "PATCH": "patch", "DELETE": "delete", "POST": "create", "PUT": "update"}
        verb = named[request.method] if name or request.method != "GET" else "list"
        found = self.inside if inside else self.everywhere
        for needed in {verb, *(["watch"] if is_watch(request) else []), *(["create"] if created else [])}:
            if not (needed == "list" and is_watch(request)):
                found.add((needed, group, f"{resource}/{below}" if below else resource))


def granted(role: str) -> set[Right]:
    (document,) = (d for d in worker_manifests("kovra") if (d["kind"], d["metadata"]["name"]) == ("ClusterRole", role))
    return {
        (verb, group, resource)
        for rule in document["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@asynccontextmanager
async def worker(
    product: Product, simulator: Simulator, keyrings: Path, folder: Path, **more: object
) -> AsyncIterator[None]:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, cluster_user=USER, sweep_s=0.2,
        registries={"registry.test": simulated_registry(simulator)}, **more,
    )  # fmt: skip
    async with working(settings):
        yield


async def take_over(simulator: Simulator, app: App) -> None:
    """Somebody changes every object of the environment by hand."""
    client = await from_kubeconfig(simulator.kubeconfig())
    namespace = "kv-" + app.environment["id"][4:]
    for kind in (
        "LimitRange", "ResourceQuota", "ServiceAccount", "Service", "Namespace", "NetworkPolicy", "Ingress", "Deployment",
        "PodDisruptionBudget", "HTTPRoute", "RoleBinding", "HorizontalPodAutoscaler", "PersistentVolumeClaim",
    ):  # fmt: skip
        for item in simulator.store.list(kind, "" if kind == "Namespace" else namespace):
            if kind != "Namespace" or item["metadata"]["name"] == namespace:
                await _relabel(client, item["apiVersion"], kind, item)
    await client.close()


async def _relabel(client: Any, api_version: str, kind: str, item: dict[str, Any]) -> None:
    labels = {"kovra.io/project": "somebody-elses"}
    metadata = {"name": item["metadata"]["name"], "labels": labels}
    path = path_of(api_version, kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
    await client._json(
        "PATCH", path, query=[("fieldManager", BY_HAND), ("force", "true")],
        body={"apiVersion": api_version, "kind": kind, "metadata": metadata}, content="application/apply-patch+yaml",
    )  # fmt: skip


async def lived(product: Product, simulator: Simulator) -> None:
    """All that an app goes through, until its environment is gone."""
    bounds = {"min": 2, "max": 3, "cpu": 70}
    disk = {"name": "data", "path": "/data", "size_gib": 1}
    processes: dict[str, Any] = {
        "web": {"port": 8080, "autoscale": bounds}, "more": {"port": 9090, "instances": 2}, "disk": {"volumes": [disk]},
    }  # fmt: skip
    app = await (await product.sign_up()).app(processes=processes, release_command=["/testapp", "task"])
    assert (await app.deploy())["outcome"] == "live"

    async def is_looked_at() -> bool:
        report = await app.caller.get(f"{app.path}/drift")
        return bool(report["checked_at"] and report["walls_checked_at"])

    await until(is_looked_at)
    await take_over(simulator, app)
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "another-value"}})
    assert (await app.deploy())["outcome"] == "live"
    changed = {"processes": {"web": {"port": 8080, "instances": 1}}, "release_command": None}
    await app.caller.patch(f"/v1/apps/{app.app['id']}", changed)
    assert (await app.deploy(image="registry.test/kovra/crash:1"))["reason"]["code"] == "crash_loop"
    await delete(app, "app")
    await window_is_over(product, app, "app")
    await until(lambda: _empty(simulator, app))
    await delete(app, "environment")
    await window_is_over(product, app, "environment")

    async def gone() -> bool:
        return not await has_namespace(product, app)

    await until(gone)


async def _empty(simulator: Simulator, app: App) -> bool:
    namespace = "kv-" + app.environment["id"][4:]
    return not any(
        simulator.store.list(kind, namespace) for kind in ("Deployment", "Secret", "Service", "PersistentVolumeClaim")
    )


async def test_each_right_of_the_worker_is_needed_and_no_other(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path: Path
) -> None:
    """T131: least privilege, by what is asked for in a whole life."""
    asked = Asked()
    simulator.faults = asked
    product.simulator = simulator
    for routing in ("gateway", "ingress"):
        async with worker(product, simulator, keyrings, tmp_path, routing=routing):
            await lived(product, simulator)
    async with worker(product, simulator, keyrings, tmp_path, quotas=NARROW):
        app = await (await product.sign_up()).app(release_command=["/testapp", "task"])
        assert (await app.deploy())["reason"]["code"] == "quota_exceeded"
    everywhere, inside = granted("kovra-worker"), granted("kovra-tenant-manager")
    assert asked.everywhere - everywhere == set()
    assert asked.inside - inside - everywhere == set()
    assert everywhere - asked.everywhere - asked.inside == {("bind", "rbac.authorization.k8s.io", "clusterroles")}
    assert inside - asked.inside == set()

"""The watcher's list is a look at one moment: what went live after it is not lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from kovra.adapters.cluster import client as cluster_client
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator import Fault, Simulator
from kovra.entrypoints.clusters import connected
from kovra.entrypoints.worker import working
from kovra.features.deployments import watchers
from kovra.features.deployments.watchers import ClusterWatcher
from kovra.foundation.db.database import Database
from kovra.foundation.ids import encode
from kovra.foundation.jobs.messages import Job
from tests.conftest import settings_for, simulated_registry
from tests.support.product import Product


class Late:
    """The real client; what it lists of Deployments comes late, as to a process that was paused."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self.listed, self.go, self.watches = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def list(self, api_version: str, kind: str, **more: Any) -> Any:
        found = await self._client.list(api_version, kind, **more)
        if kind == "Deployment":
            self.listed.set()
            await self.go.wait()
        return found

    async def watch(self, api_version: str, kind: str, **more: Any) -> AsyncIterator[Any]:
        if kind == "Deployment":
            self.watches.set()
        async for event in self._client.watch(api_version, kind, **more):
            yield event


async def test_what_went_live_after_the_list_is_not_taken_for_lost(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path: Path
) -> None:
    """T221: it was applied once more, by a worker whose time was over."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = {"registry.test": simulated_registry(simulator)}
    settings = settings_for(product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries=registries)
    app = await (await product.sign_up()).app()
    async with connected(kubeconfig, None) as client:
        late = Late(client)
        watcher = ClusterWatcher(product.app.state.registry.get(Database), cast(ClusterClient, late))
        watching = asyncio.create_task(watcher.run())
        try:
            await asyncio.wait_for(late.listed.wait(), 60)
            async with working(settings):
                assert (await app.deploy())["outcome"] == "live"
            late.go.set()
            await asyncio.wait_for(late.watches.wait(), 60)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    assert await product.sql("select 1 from procrastinate_jobs where task_name = 'deployments.reapply'") == []


class Noting(ClusterWatcher):
    """The real watcher; whom it would wake is noted."""

    def __init__(self, database: Database, client: ClusterClient) -> None:
        super().__init__(database, client)
        self.woken: list[UUID] = []

    async def _wake(self, org_id: UUID, row_id: UUID, other: type[Job] | None) -> None:
        self.woken.append(row_id)


Trouble = Callable[[Simulator], None]
WATCH = {"watch": True, "path": "/apis/apps/v1/deployments$"}


def _forgotten(simulator: Simulator) -> None:
    simulator.store.forget_history()
    simulator.close_watches()


def _never_told(simulator: Simulator) -> None:
    simulator.faults.add(Fault(**WATCH, times=1000, status=503))
    simulator.close_watches()


def _again(fault: dict[str, Any]) -> Trouble:
    def trouble(simulator: Simulator) -> None:
        simulator.faults.add(Fault(**WATCH, **fault))
        simulator.close_watches()

    return trouble


TROUBLES: dict[str, Trouble] = {
    "none": lambda simulator: None,
    "closed": lambda simulator: simulator.close_watches(),
    "told twice": _again({"connection": "repeat"}),
    "silent": _again({"connection": "stall"}),
    "dropped": _again({"connection": "before", "times": 2}),
    "no event": _again({"body": b'{"type": "ADDED"}\n'}),
    "expired": _again({"status": 410, "times": 2}),
    "history forgotten": _forgotten,
    "lost": lambda simulator: simulator.lose_state(),
    "never told": _never_told,
}


def _deployment(namespace: str, app_environment_id: UUID) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "kovra", "kovra.io/organization": encode("org", uuid4())[4:],
              "kovra.io/app-environment": encode("aev", app_environment_id)[4:]}  # fmt: skip
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "app", "image": "ok"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    metadata = {"name": f"d-{app_environment_id.hex[:8]}", "namespace": namespace, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


async def _woken(watcher: Noting, client: ClusterClient) -> None:
    """A change now wakes whoever it concerns."""
    target = uuid4()
    await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "w"}})
    await client.apply(_deployment("w", target))
    async with asyncio.timeout(60):
        while target not in watcher.woken:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_whatever_becomes_of_a_watch_changes_are_seen(
    product: Product, simulator: Simulator, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T220, T221: closed, silent, repeated, broken and expired watches, and a cluster that begins anew."""
    monkeypatch.setattr(cluster_client, "QUIET_S", 0.2)
    client = await from_kubeconfig(simulator.kubeconfig())
    watcher = Noting(product.app.state.registry.get(Database), client)
    watching = asyncio.create_task(watcher.run())
    try:
        await _woken(watcher, client)
        TROUBLES[trouble](simulator)
        await _woken(watcher, client)
        assert not watching.done()
    finally:
        simulator.faults.clear()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.close()


async def test_everything_is_listed_again_after_a_while_though_no_watch_has_failed(
    product: Product, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a watch never told is not lost for ever."""
    monkeypatch.setattr(watchers, "RELIST_S", 0.0)
    simulator.faults.add(Fault(watch=True, times=1000, connection="stall"))
    client = await from_kubeconfig(simulator.kubeconfig())
    watcher = Noting(product.app.state.registry.get(Database), client)
    watching = asyncio.create_task(watcher.run())
    try:
        await _woken(watcher, client)
        await _woken(watcher, client)
    finally:
        simulator.faults.clear()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.close()

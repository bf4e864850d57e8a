"""The watcher's list is a look at one moment: what went live after it is not lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints.clusters import connected
from kovra.entrypoints.worker import working
from kovra.features.deployments.watchers import ClusterWatcher
from kovra.foundation.db.database import Database
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
            await asyncio.wait_for(late.listed.wait(), 20)
            async with working(settings):
                assert (await app.deploy())["outcome"] == "live"
            late.go.set()
            await asyncio.wait_for(late.watches.wait(), 20)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    assert await product.sql("select 1 from procrastinate_jobs where task_name = 'deployments.reapply'") == []

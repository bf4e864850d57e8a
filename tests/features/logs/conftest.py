"""The product with a streamer, on real sockets: api, worker, streamer over mutual TLS, simulated cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints import streamlink
from kovra.entrypoints.api import create_app
from kovra.entrypoints.streamer import StreamerSettings, streaming
from kovra.entrypoints.streamlink import StreamLink
from kovra.entrypoints.worker import working
from kovra.foundation.db.embedded import free_port
from tests.conftest import settings_for, simulated_registry
from tests.features.logs.serving import served
from tests.support.postgres import TestDatabase
from tests.support.product import App, Product


def lower(environment: dict[str, str]) -> dict[str, str]:
    """Environment variables as arguments of settings."""
    return {name.removeprefix("KOVRA_").lower(): value for name, value in environment.items()}


@dataclass
class Streamed(Product):
    """The product, where it is served, and its parts that tests stop and start."""

    url: str = ""
    link: StreamLink | None = None
    kubeconfig: Path | None = None
    streamer: AsyncExitStack | None = None

    def streamer_settings(self, **more: Any) -> StreamerSettings:
        assert self.link is not None
        return StreamerSettings(**{**lower(self.link.streamer), "kubeconfig": self.kubeconfig, "shells": True, **more})

    async def restart_streamer(self, **more: Any) -> None:
        """It ends, and another begins in its place."""
        assert self.streamer is not None
        await self.streamer.aclose()
        await self.streamer.enter_async_context(streaming(self.streamer_settings(**more)))

    def pods(self, app: App) -> list[dict[str, Any]]:
        """The app's pods that run."""
        assert self.simulator is not None
        wanted = app.pair["id"].removeprefix("aev_")
        return [
            pod
            for pod in self.simulator.store.list("Pod")
            if (pod["metadata"].get("labels") or {}).get("kovra.io/app-environment") == wanted
            and (pod.get("status") or {}).get("phase") == "Running"
        ]

    def write(self, pod: dict[str, Any], *lines: str) -> None:
        """The app writes."""
        assert self.simulator is not None
        for line in lines:
            self.simulator.kubelet.log(pod, line)


@asynccontextmanager
async def everything(
    database: TestDatabase, keyrings: Path, simulator: Simulator, folder: Path, **more: Any
) -> AsyncIterator[Streamed]:
    """Api, worker and streamer; ``more``: settings of api and worker."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    link = streamlink.make(folder / "link", free_port())
    registries = {"registry.test": simulated_registry(simulator)}
    settings = settings_for(database, keyrings / "api.json", **lower(link.api), **more)
    worker = settings_for(
        database,
        keyrings / "worker.json",
        kubeconfig=kubeconfig,
        registries=registries,
        **{"log_store": "none", **more},
    )
    app = create_app(settings)
    product = Streamed(
        app=app, database=database, settings=settings, simulator=simulator, link=link, kubeconfig=kubeconfig
    )
    async with AsyncExitStack() as stack:
        product.streamer = await stack.enter_async_context(AsyncExitStack())
        await product.streamer.enter_async_context(streaming(product.streamer_settings()))
        await stack.enter_async_context(working(worker))
        product.url = await stack.enter_async_context(served(app, settings))
        yield product


@pytest.fixture(scope="module")
async def streamed(
    database: TestDatabase, keyrings: Path, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Streamed]:
    """Everything running, the log collector too."""
    folder = tmp_path_factory.mktemp("streamed")
    async with everything(database, keyrings, simulator, folder, log_store="postgres") as product:
        yield product


@pytest.fixture(scope="module")
async def uncollected(
    database: TestDatabase, keyrings: Path, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Streamed]:
    """Everything but the log collector, which tests run by hand."""
    async with everything(database, keyrings, simulator, tmp_path_factory.mktemp("uncollected")) as product:
        yield product


@pytest.fixture(scope="module")
async def live_app(streamed: Streamed) -> App:
    """An app with two instances, deployed."""
    ada = await streamed.sign_up()
    app = await ada.app(processes={"web": {"port": 8080, "instances": 2}})
    done = await app.deploy()
    assert done["outcome"] == "live", done["reason"]
    return app

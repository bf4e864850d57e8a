"""The HTTP server of the simulator: the Kubernetes API, the registry, and the apps' pages."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from kovra.adapters.cluster.simulator import images
from kovra.adapters.cluster.simulator.controllers import Controllers
from kovra.adapters.cluster.simulator.events import Events
from kovra.adapters.cluster.simulator.faults import Faults
from kovra.adapters.cluster.simulator.kinds import ApiError, bad_request
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.pages import Pages
from kovra.adapters.cluster.simulator.pushes import Pushes
from kovra.adapters.cluster.simulator.registry import Registry
from kovra.adapters.cluster.simulator.resources import Resources
from kovra.adapters.cluster.simulator.store import Store
from kovra.adapters.cluster.simulator.writer import Writer
from kovra.foundation.observability import logger

TICK_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """Where it listens, and how fast its clock runs."""

    host: str = "127.0.0.1"
    port: int = 0
    apps_port: int = 0
    speed: float = 1.0
    token: str | None = None
    """Bearer token it demands; None: a random one."""


class Simulator:
    """One simulated cluster."""

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self._options = options or SimulatorOptions()
        self._token = self._options.token or secrets.token_urlsafe(24)
        self._runners: list[web.AppRunner] = []
        self._ticking: asyncio.Task[None] | None = None
        self.port = self.apps_port = 0
        self.faults = Faults()
        """What is to go wrong next; for tests."""
        self.pushes = Pushes()
        """What was pushed into its registry, which loses nothing when the cluster does."""
        self._fresh()

    def _fresh(self) -> None:
        self.store = Store()
        self.catalogue = images.Catalogue()
        writer, events = Writer(self.store), Events(self.store)
        self.kubelet = Kubelet(self.store, writer, events, self.catalogue, speed=self._options.speed)
        self._controllers = Controllers(self.store, writer, self.kubelet, events)
        self._resources = Resources(self.store, writer, self.kubelet)
        self._registry = Registry(self.catalogue, self.pushes)
        self._pages = Pages(self.store, self.kubelet)

    def lose_state(self) -> None:
        """As after a restart: nothing is there any more, and every watch ends."""
        old = self.store
        self._fresh()
        self.store.version = self.store.floor = old.version + 1000
        self._resources.end_watches(old)

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"http://{self._options.host}:{self.port}"

    @property
    def registry_url(self) -> str:
        """Where the registry of the test images answers."""
        return self.url

    @property
    def apps_url(self) -> str:
        """Where the apps' pages answer, told apart by Host."""
        return f"http://{self._options.host}:{self.apps_port}"

    def close_watches(self) -> None:
        """Every watch ends, as when a real API server closes them; for tests."""
        self._resources.end_watches(self.store)

    def kubeconfig(self) -> dict[str, Any]:
        """What a client needs to come here."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simulator", "cluster": {"server": self.url}}],
            "users": [{"name": "kovra", "user": {"token": self._token}}],
            "contexts": [{"name": "simulator", "context": {"cluster": "simulator", "user": "kovra"}}],
            "current-context": "simulator",
        }

    async def start(self) -> None:
        """Listen and let the clock run."""
        await self._serve()
        self._ticking = asyncio.create_task(self._tick())

    async def go_away(self) -> None:
        """Answer nobody any more and drop every connection; pods go on running, as when only the API server is gone."""
        self._resources.end_watches(self.store)
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()

    async def come_back(self, *, lost: bool = False) -> None:
        """Answer again at the same addresses; ``lost``: with nothing in it."""
        if lost:
            self.lose_state()
        await self._serve()

    async def _serve(self) -> None:
        api = web.Application(middlewares=[self._answers], client_max_size=4 * 2**20)
        api.router.add_route("*", "/v2/{path:.*}", self._from_registry)
        api.router.add_route("*", "/{path:.*}", self._api)
        apps = web.Application(middlewares=[self._answers])
        apps.router.add_route("*", "/{path:.*}", self._page)
        self.port = await self._listen(api, self.port or self._options.port)
        self.apps_port = await self._listen(apps, self.apps_port or self._options.apps_port)

    async def stop(self) -> None:
        """Stop listening."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await self.go_away()

    async def _listen(self, app: web.Application, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self._options.host, port)
        await site.start()
        return int(runner.addresses[0][1])

    async def _tick(self) -> None:
        while True:
            self._controllers.tick()
            await asyncio.sleep(TICK_S / max(1.0, min(self._options.speed, 5.0)))

    # Looked up for each request: after a loss of state these are others.

    async def _from_registry(self, request: web.Request) -> web.StreamResponse:
        return await self._registry.answer(request)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return await self._pages.answer(request)

    @web.middleware
    async def _answers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            response = await self.faults.around(request, handler)
        except ApiError as error:
            response = web.json_response(error.status(), status=error.code)
            if error.retry_after_s:
                response.headers["Retry-After"] = str(error.retry_after_s)
        except web.HTTPException as refused:
            refused.headers["Kovra-Simulated"] = "true"
            raise
        if not response.prepared:
            response.headers["Kovra-Simulated"] = "true"
        return response

    async def _api(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not secrets.compare_digest(given, f"Bearer {self._token}".encode()):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        try:
            return await self._resources.handle(request)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as wrong:
            # Objects are checked for the obvious only; what is shaped otherwise shows where it is read.
            logger.debug("simulator_bad_object", path=request.path, error=type(wrong).__name__)
            raise bad_request("the object is not of the form of its kind") from wrong

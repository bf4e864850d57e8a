"""The worker's own port: /healthz, /readyz and /metrics, for probes and scrapers inside the cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kovra.foundation.observability import METRICS
from kovra.settings import Settings


@asynccontextmanager
async def served(settings: Settings, troubles: Callable[[], list[str]]) -> AsyncIterator[None]:
    """Answer while the block lasts. ``troubles`` names what does not work now: then it is not ready."""

    async def alive(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        found = troubles()
        body = {"status": "unavailable", "troubles": found} if found else {"status": "ok"}
        return web.json_response(body, status=503 if found else 200)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(METRICS), headers={"Content-Type": CONTENT_TYPE_LATEST})

    if not settings.worker_port:
        yield
        return
    app = web.Application(client_max_size=1024)
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.worker_port).start()
        yield
    finally:
        await runner.cleanup()

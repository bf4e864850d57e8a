"""The api behind real sockets: uvicorn as production starts it, in this process, on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import uvicorn
from fastapi import FastAPI

from kovra.entrypoints.api import create_app, server_options
from kovra.foundation.web.application import Application
from kovra.foundation.web.protocol import PatientProtocol
from kovra.settings import Settings
from tests.support.product import Product

PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "bcrypt_cost": 12,
    "public_url": "https://api.example.test",
    "trusted_proxies": ("127.0.0.1/32",),
    "cors_origins": ("https://console.example.test",),
}
"""What a production api must be told, over the settings of a test."""


class _Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


def another(product: Product, *, edge: dict[str, Any] | None = None, **settings: Any) -> Application:
    """An app like the product's, on its wiring, with other settings and edge options."""
    app = create_app(Settings.model_validate({**product.settings.model_dump(), **settings}))
    app.state.registry = product.app.state.registry
    app.edge = replace(app.edge, **(edge or {}))
    return app


@dataclass
class Served:
    """Where it listens, and raw bytes to it."""

    port: int

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def raw(self, *parts: bytes, pause_s: float = 0.0) -> bytes:
        """Send the parts, and everything that comes back until the server closes."""
        reader, writer = await self.open()
        answer = bytearray()
        # Read meanwhile: a reset that follows an answer would take it away.
        reading = asyncio.create_task(_collect(reader, answer))
        try:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
            await asyncio.wait_for(reading, 60)
        finally:
            writer.close()
        return bytes(answer)


async def _collect(reader: asyncio.StreamReader, answer: bytearray) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            answer += piece


@contextlib.asynccontextmanager
async def serving(app: FastAPI, *, head_timeout_s: float = 15.0) -> AsyncIterator[Served]:
    """Serve the app with the options of production, and perhaps less patience."""
    kind = type("Hurried", (PatientProtocol,), {"head_timeout_s": head_timeout_s})
    options = server_options(app.state.settings) | {"port": 0, "http": kind, "lifespan": "off", "loop": "none"}
    server = _Server(uvicorn.Config(app, **options))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield Served(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await task

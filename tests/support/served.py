"""The api on a real port, for streams and sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from kovra.entrypoints.api import server_options
from kovra.entrypoints.clients.frames import FRAMES
from tests.support.product import Caller, Product
from tests.support.shapes import fact, fits

_STREAM = FRAMES["EventStream"]["properties"]


@dataclass
class Served:
    """Where it answers."""

    product: Product
    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def socket(
        self, who: Caller, *, ticket: str | None = None, origin: str | None = None, path: str = "/v1/ws"
    ) -> AsyncIterator[ClientConnection]:
        """An event socket of somebody."""
        given = ticket if ticket is not None else (await who.post("/v1/ws-tickets"))["ticket"]
        async with connect(
            f"ws://127.0.0.1:{self.port}{path}",
            subprotocols=["kovra.v1", f"ticket.{given}"],  # type: ignore[list-item]
            origin=origin,  # type: ignore[arg-type]
            compression=None,
            proxy=None,
        ) as connection:
            yield connection

    @asynccontextmanager
    async def events(self, who: Caller, query: str = "", **headers: str) -> AsyncIterator[Sse]:
        """An event stream of somebody."""
        named = {"Authorization": f"Bearer {who.token}", "Accept": "text/event-stream"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as client,
            client.stream("GET", f"/v1/events{query}", headers=named) as response,
        ):
            yield Sse(response)


class Sse:
    """Events of a stream, parsed as a browser does."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, timeout_s: float = 10) -> dict[str, Any]:
        """The next event: its fields, data parsed; comments are passed over."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(timeout_s):
            async for line in self._lines:
                if not line and "data" in found:
                    data = json.loads(found["data"])
                    fits(_STREAM[found["event"]], data)
                    return {**found, "data": data}
                name, _, value = line.partition(": ")
                if name:
                    found[name] = value
        raise EOFError


async def frame(connection: ClientConnection, timeout_s: float = 10) -> dict[str, Any]:
    """The next frame that is not a ping."""
    while True:
        async with asyncio.timeout(timeout_s):
            found: dict[str, Any] = json.loads(await connection.recv())
        fits("SocketFrame", found)
        if found["type"] == "event":
            fact(found["event"])
        if found["type"] != "ping":
            return found


@asynccontextmanager
async def serve(product: Product) -> AsyncIterator[Served]:
    """Serve a product whose lifespan runs already."""
    options = server_options(product.settings) | {"port": 0, "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(product.app, **options))
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(product, port, server)
    finally:
        server.should_exit = True
        await serving

"""The api on a real socket: what streams and WebSockets need, which in-process transports hold back until their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from kovra.entrypoints.api import server_options
from kovra.entrypoints.clients.frames import FRAMES
from kovra.settings import Settings
from tests.support.shapes import fits

_STREAM = FRAMES["LogStream"]["properties"]


@asynccontextmanager
async def served(app: FastAPI, settings: Settings) -> AsyncIterator[str]:
    """Serve until the block is left; gives the address. The application's lifespan runs with it."""
    options = server_options(settings) | {"port": 0, "timeout_graceful_shutdown": 2}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    try:
        while not server.started:
            assert not task.done(), task
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass
class Heard:
    """One event of a stream."""

    kind: str
    data: Any
    id: str | None


class Listening:
    """An open stream of events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, *kinds: str, within_s: float = 10.0) -> Heard:
        """The next event of one of these kinds (any, when none is named)."""
        async with asyncio.timeout(within_s):
            while True:
                heard = await self._one()
                if not kinds or heard.kind in kinds:
                    return heard

    async def _one(self) -> Heard:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line.startswith(":"):
                continue
            if not line and fields:
                heard = Heard(fields["event"], json.loads(fields["data"]), fields.get("id"))
                fits(_STREAM[heard.kind], heard.data)
                return heard
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        raise EOFError("the stream has ended")

    async def lines(self, count: int, within_s: float = 10.0) -> list[str]:
        """The texts of the next lines."""
        return [(await self.next("line", within_s=within_s)).data["line"] for _ in range(count)]


@asynccontextmanager
async def listening(url: str, token: str, **headers: str) -> AsyncIterator[Listening]:
    """Open a stream of events."""
    named = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(timeout=30) as client, client.stream("GET", url, headers=named) as response:
        opened = Listening(response)
        async with aclosing(opened._lines):  # type: ignore[type-var]
            yield opened

"""A door in front of a real API server, through which the product goes: what passes can go wrong as at the simulator."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from aiohttp import web

from kovra.adapters.cluster.simulator.faults import Faults, is_watch

_OWN: Final = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})
_MOST: Final = 64 * 2**20


class Door:
    """Hands everything on, with the caller's own credential, unless a fault is asked for."""

    def __init__(self, kubeconfig: dict[str, Any]) -> None:
        (cluster,) = (c["cluster"] for c in kubeconfig["clusters"])
        self._kubeconfig = kubeconfig
        self._server = str(cluster["server"])
        self._context = _authority(cluster)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.port = 0
        self.faults = Faults()

    def kubeconfig(self) -> dict[str, Any]:
        """How the product comes in: the same credential, at this door."""
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        return {**self._kubeconfig, "clusters": [{"name": self._kubeconfig["clusters"][0]["name"], "cluster": cluster}]}

    async def come_back(self) -> None:
        """Open, at the same address as before."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=0), auto_decompress=False
        )
        app = web.Application(client_max_size=_MOST)
        app.router.add_route("*", "/{path:.*}", self._asked)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = int(self._runner.addresses[0][1])

    async def go_away(self) -> None:
        """Closed, and every connection cut: as when the API server ends."""
        runner, session, self._runner, self._session = self._runner, self._session, None, None
        if session is not None:
            await session.close()
        if runner is not None:
            await runner.cleanup()

    async def _asked(self, request: web.Request) -> web.StreamResponse:
        return await self.faults.around(request, self._hand_on)

    async def _hand_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _OWN}
        lasts = aiohttp.ClientTimeout(total=None)
        async with self._session.request(
            request.method, self._server + request.raw_path, headers=headers, data=await request.read(), timeout=lasts
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _OWN}
            if not is_watch(request) and request.query.get("follow") != "true":
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response


def _authority(cluster: dict[str, Any]) -> ssl.SSLContext:
    inline = cluster.get("certificate-authority-data")
    if inline:
        return ssl.create_default_context(cadata=base64.b64decode(inline).decode())
    return ssl.create_default_context(cafile=cluster["certificate-authority"])


@asynccontextmanager
async def door_to(kubeconfig: Path) -> AsyncIterator[Door]:
    """A door that is open while the block lasts."""
    door = Door(yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text)))
    await door.come_back()
    try:
        yield door
    finally:
        await door.go_away()

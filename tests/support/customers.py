"""Customers' clusters in tests: simulators behind TLS fronts with names of their own, which can be made to fail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from tests.support.tls_front import make

FAILING = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Mode = Literal["well", "silent", "refusing", "failing"]


def kubeconfig(server: str, *, token: str = "a-static-token", authority: bytes | None = None, **user: Any) -> str:
    """As a customer pastes it."""
    cluster: dict[str, Any] = {"server": server}
    if authority is not None:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return json.dumps(document)


@dataclass
class Customer:
    """A simulated cluster behind its front."""

    simulator: Simulator
    host: str
    authority: bytes
    port: int = 0
    mode: Mode = "well"
    connections: int = 0
    """How often somebody connected."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def kubeconfig(self) -> str:
        token = self.simulator.kubeconfig()["users"][0]["user"]["token"]
        return kubeconfig(f"https://{self.host}", token=token, authority=self.authority)

    def turn(self, mode: Mode) -> None:
        """From now on; whoever is connected is cut off."""
        self.mode = mode
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            match self.mode:
                case "silent":
                    await reader.read()  # what is sent is taken, and nothing is said
                case "refusing":
                    writer.transport.abort()
                case "failing":
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(FAILING)
                    await writer.drain()
                case "well":
                    there, here = await asyncio.open_connection("127.0.0.1", self.simulator.port)
                    await asyncio.gather(_pass(reader, here), _pass(there, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class Customers:
    """Those that there are, by host; a worker reaches them by this."""

    folder: Path
    known: dict[str, Customer] = field(default_factory=dict)

    async def __call__(self, server: str) -> tuple[str, int]:
        """Where a name of a customer's cluster leads to."""
        customer = self.known.get(urlsplit(server).hostname or "")
        if customer is None:
            raise OSError("nobody there")
        return "127.0.0.1", customer.port

    @asynccontextmanager
    async def customer(self) -> AsyncIterator[Customer]:
        """One more."""
        simulated = Simulator(SimulatorOptions(speed=20, token=secrets.token_hex(8)))
        await simulated.start()
        host = f"k{secrets.token_hex(4)}.clusters.example.com"
        files = make(self.folder, host, host=host)
        made = Customer(simulated, host, files.ca.read_bytes())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
        made.port = server.sockets[0].getsockname()[1]
        self.known[host] = made
        try:
            yield made
        finally:
            made.turn("refusing")
            server.close()
            await simulated.stop()

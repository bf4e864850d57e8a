"""A front before a served product: it can answer in its place, and cut what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AWAY = b"HTTP/1.1 503 Away\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Front:
    """Passes bytes on to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self.away = 0
        """So many of the next connections are answered with 503."""
        self.heads: list[str] = []
        """Of each request, as it began."""
        self.url = ""

    def cut(self) -> None:
        """End every connection now."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one request of a client that opens another for the next."""
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            if self.away:
                self.away -= 1
                writer.write(AWAY)
                await writer.drain()
                return
            there, here = await asyncio.open_connection("127.0.0.1", self._port)
            here.write(head)
            await asyncio.gather(_pass(reader, here), _pass(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def front(port: int) -> AsyncIterator[Front]:
    """A front before this port."""
    made = Front(port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.cut()
        server.close()

"""A network line that can be cut: a TCP proxy on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NetworkLine:
    """Passes bytes to a port; when it is cut, open connections are reset and new ones get no further."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.whole = True
        self.cuts = 0

    def cut(self) -> None:
        """Now, in the middle of whatever is being sent."""
        self.whole = False
        for writer in list(self._open):
            self.cuts += 1
            writer.transport.abort()

    def mend(self) -> None:
        """New connections get through again."""
        self.whole = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.whole:
            writer.transport.abort()
            return
        self._open.add(writer)
        with contextlib.suppress(OSError):
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._upstream)
            await asyncio.gather(_pass(reader, there), _pass(there_reader, writer))
        self._open.discard(writer)
        writer.transport.abort()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[NetworkLine]:
        """Lay it; ``port`` is its near end."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()

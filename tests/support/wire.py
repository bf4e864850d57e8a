"""A front for PostgreSQL that reads the client's side of the protocol: counts round trips, and cuts where a test says.

A client waits for the server after each simple query and each Sync (protocol 3.0, "Message Flow"): their number is the
number of round trips.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

QUERY, SYNC, EXECUTE = b"Q", b"S", b"E"


@dataclass
class Wire:
    """What went over the front's connections."""

    port: int = 0
    waits: list[bytes] = field(default_factory=list)
    """The type of each message after which the client waits: simple queries with their text, and Syncs."""
    cut: Callable[[bytes, bytes], Literal["before", "after"] | None] | None = None
    """Asked with (type, body) of each message of a client: before it reaches the server, or after it has, the connection
    is lost, and with it the answer.
    """
    connections: int = 0

    @property
    def round_trips(self) -> int:
        """Since ``waits`` was last cleared."""
        return len(self.waits)


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """Stand in front of a server's port on loopback."""
    seen = Wire()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            answers, upstream = await asyncio.open_connection("127.0.0.1", port)
            back = asyncio.create_task(_copy(answers, writer))
            try:
                await _forward(seen, reader, upstream, back)
            finally:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
                upstream.close()
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _forward(
    seen: Wire, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, back: asyncio.Task[None]
) -> None:
    """Pass the client's messages one by one."""
    length = await reader.readexactly(4)
    upstream.write(length + await reader.readexactly(int.from_bytes(length) - 4))  # the start-up message has no type
    while True:
        kind, length = await reader.readexactly(1), await reader.readexactly(4)
        body = await reader.readexactly(int.from_bytes(length) - 4)
        where = seen.cut(kind, body) if seen.cut is not None else None
        if where is not None:
            back.cancel()
            if where == "after":
                upstream.write(kind + length + body + b"X" + (4).to_bytes(4))  # read to its end, then farewell
                await upstream.drain()
            return
        if kind == QUERY:
            seen.waits.append(kind + body.rstrip(b"\0"))
        elif kind == SYNC:
            seen.waits.append(kind)
        upstream.write(kind + length + body)
        await upstream.drain()

"""A lean HTTP/1.1 client for loopback: it shares the server's cores, and must not cost more than what it measures."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, again and again; ``NEW`` in its body is another text each time."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    port: int | None = None
    """Where it is asked, when not where the product is."""

    def bytes(self) -> bytes:
        """As it goes over the wire."""
        text = "" if self.body is None else json.dumps(self.body).replace("NEW", secrets.token_hex(4))
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: bench", *(f"{k}: {v}" for k, v in self.headers.items())]
        if text:
            lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
        return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


class Connection:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer, which must be a good one."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError((head + body)[:500])
        return body

    def close(self) -> None:
        self._writer.close()


async def together(port: int, call: Call, *, connections: int, seconds: float) -> int:
    """How many answers so many connections get in that time."""
    opened = [await Connection.open(port) for _ in range(connections)]
    ends, done = time.perf_counter() + seconds, 0

    async def one(connection: Connection) -> None:
        nonlocal done
        request = call.bytes()
        while time.perf_counter() < ends:
            await connection.ask(request if call.body is None else call.bytes())
            done += 1

    try:
        await asyncio.gather(*(one(connection) for connection in opened))
    finally:
        for connection in opened:
            connection.close()
    return done


async def alone(port: int, call: Call, *, seconds: float) -> float:
    """The median time of an answer over one connection, in seconds."""
    connection, ends, times = await Connection.open(port), time.perf_counter() + seconds, []
    try:
        request = call.bytes()
        while (began := time.perf_counter()) < ends:
            await connection.ask(request if call.body is None else call.bytes())
            times.append(time.perf_counter() - began)
    finally:
        connection.close()
    return statistics.median(times)

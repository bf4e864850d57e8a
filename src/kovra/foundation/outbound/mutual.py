"""Calls to one of Kovra's own internal servers over mutual TLS: short answers, endless streams, WebSockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from kovra.foundation.outbound.client import Answer, OutboundFailed
from kovra.foundation.outbound.tls import Renewed, Tell, TlsFiles

MAX_BYTES: Final = 4 * 1024 * 1024
LONGEST_LINE: Final = 256 * 1024
"""A line of a stream is never longer: a sender that breaks this is broken."""
SILENCE_S: Final = 20.0
"""A stream without a byte for so long is dead; senders keep it alive more often than that."""


class SocketRefused(Exception):  # always caught by who asked: its body is the other side's own words
    """The other side answered the handshake with a refusal."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class LineStream:
    """An answer whose body comes line by line."""

    status: int
    headers: Mapping[str, str]
    response: httpx.Response

    async def rest(self) -> bytes:
        """The whole body; raises OutboundFailed."""
        body = bytearray()
        try:
            async for chunk in self.response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise OutboundFailed("The answer is too large.")
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError):
            raise OutboundFailed("The other side does not answer.") from None
        return bytes(body)

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """Whole lines, as many at a time as have come; ends when the sender does; raises OutboundFailed."""
        rest = b""
        try:
            async for chunk in self.response.aiter_raw():
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    raise OutboundFailed("A line of the stream is too long.")
                if whole:
                    yield whole
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError):
            raise OutboundFailed("The stream broke.") from None


class Mutual:
    """One internal server, by an address from operators' settings; never with anything of a tenant in host or port."""

    def __init__(self, base_url: str, files: TlsFiles, tell: Tell) -> None:
        self._base = base_url.rstrip("/")
        self._host = urlsplit(base_url).hostname or ""
        self._renewed = Renewed(files, files.client, tell)
        self._context = self._renewed.context()
        self._client = _client(self._context)
        self._retired: list[httpx.AsyncClient] = []

    async def close(self) -> None:
        """Close connections."""
        for client in (*self._retired, self._client):
            await client.aclose()

    def _current(self) -> httpx.AsyncClient:
        context = self._renewed.context()
        if context is not self._context:
            # Its streams go on until they end by themselves.
            self._retired.append(self._client)
            self._context, self._client = context, _client(context)
        return self._client

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
        deadline_s: float = 10.0,
    ) -> Answer:
        """One answer, whole; raises OutboundFailed."""
        try:
            async with asyncio.timeout(deadline_s), self.stream(method, path, headers=headers, content=content) as got:
                return Answer(status=got.status, headers=got.headers, body=await got.rest())
        except TimeoutError:
            raise OutboundFailed("The other side does not answer.") from None

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes = b""
    ) -> AsyncIterator[LineStream]:
        """An answer that may last; raises OutboundFailed when there is none within 10 s."""
        client = self._current()
        request = client.build_request(method, f"{self._base}{path}", headers=dict(headers), content=content)
        try:
            async with asyncio.timeout(10):
                response = await client.send(request, stream=True)
        except (httpx.HTTPError, ssl.SSLError, TimeoutError, OSError):
            raise OutboundFailed("The other side does not answer.") from None
        try:
            yield LineStream(response.status_code, dict(response.headers), response)
        finally:
            await response.aclose()

    @asynccontextmanager
    async def websocket(
        self, path: str, *, headers: Mapping[str, str], subprotocol: str, max_bytes: int
    ) -> AsyncIterator[ClientConnection]:
        """A WebSocket; raises SocketRefused, or OutboundFailed when nobody answers. Messages are never compressed."""
        address = f"wss{self._base.removeprefix('https')}{path}"
        opening: dict[str, Any] = {
            "ssl": self._renewed.context(),
            "additional_headers": dict(headers),
            "subprotocols": [websockets.Subprotocol(subprotocol)],
            "compression": None,
            "proxy": None,
            "max_size": max_bytes,
            "max_queue": 8,
            "open_timeout": 10,
            "close_timeout": 2,
        }
        try:
            connection = await connect(address, **opening)
        except InvalidStatus as refused:
            response = refused.response
            raise SocketRefused(response.status_code, bytes(response.body or b"")[:4096]) from None
        except (WebSocketException, ssl.SSLError, TimeoutError, OSError):
            raise OutboundFailed("The other side refuses the connection.") from None
        try:
            yield connection
        finally:
            await connection.close()


def _client(context: ssl.SSLContext) -> httpx.AsyncClient:
    # Streams are bounded by whoever opens them; the pool must not be what bounds them.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
    timeout = httpx.Timeout(10.0, read=SILENCE_S)
    return httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=False, limits=limits, timeout=timeout)

"""A small internet for outbound calls: every public address leads to one TLS server here, which acts as many hosts.

Only the last step differs from the real thing: connections go to a Unix socket instead of the pinned address. Names,
certificates, HTTP and everything the product checks before it connects are real.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from kovra.foundation.outbound import Outbound, Refusals, Resolver
from tests.support.tls_front import Certificates, make

PUBLIC = "93.184.215.14"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """A request as it arrived."""

    host: str
    path: str
    headers: dict[str, str]


@dataclass
class Internet:
    """Hosts by name, what arrived, and where names lead (unknown ones: to one public address)."""

    socket: Path
    hosts: dict[str, Handler] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """What clients asked for by SNI, one entry per connection."""
    dialed: list[str] = field(default_factory=list)
    """Addresses that requests were sent to."""
    lookups: list[str] = field(default_factory=list)

    def look_up(self, host: str, port: int) -> list[str]:
        self.lookups.append(host)
        found = self.addresses.get(host, [PUBLIC])
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    def outbound(self, refusals: Refusals | None = None) -> Outbound:
        return Outbound(Resolver(refusals or Refusals(), lookup=self.look_up), transport=self._transport)

    def _transport(self, context: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
        return _Dialing(self, httpx.AsyncHTTPTransport(verify=context, limits=limits, uds=str(self.socket)))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        self.seen.append(
            Seen(host, request.raw_path if hasattr(request, "raw_path") else request.path_qs, dict(request.headers))
        )
        handler = self.hosts.get(host)
        return web.Response(status=421) if handler is None else await handler(request)


class _Dialing(httpx.AsyncBaseTransport):
    """Notes which address a request was sent to."""

    def __init__(self, internet: Internet, inner: httpx.AsyncHTTPTransport) -> None:
        self._internet = internet
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._internet.dialed.append(request.url.host)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def context_of(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


@asynccontextmanager
async def internet(patch: pytest.MonkeyPatch, *names: str) -> AsyncIterator[Internet]:
    """Run it; the certificate is one for these names, from an authority the machine trusts meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="kovra-net-"))
    certificates = make(folder, "net", host=names[0], also=names[1:])
    patch.setenv("SSL_CERT_FILE", str(certificates.ca))
    patch.delenv("SSL_CERT_DIR", raising=False)
    net = Internet(socket=folder / "s")
    context = context_of(certificates)

    def asked(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        net.names.append(name)

    context.sni_callback = asked
    server = web.Server(net.answer, access_log=None)
    listener = await asyncio.get_running_loop().create_unix_server(server, str(net.socket), ssl=context)
    try:
        yield net
    finally:
        listener.close()
        await server.shutdown(0.1)
        shutil.rmtree(folder, ignore_errors=True)

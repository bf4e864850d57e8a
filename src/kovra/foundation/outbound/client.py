"""Two clients: no redirects, no environment proxies, no cookies, TLS 1.2 or newer, a deadline over all, a cap on bytes.

What is larger than memory should hold is read as a ``Stream``: its caller has the deadline, and counts.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from kovra.foundation.errors import Unavailable
from kovra.foundation.outbound.targets import HTTPS, Resolver

MAX_BYTES: Final = 4 * 1024 * 1024
_CONNECTIONS: Final = 64

Transport = Callable[[ssl.SSLContext, httpx.Limits], httpx.AsyncBaseTransport]
"""Makes what connects; the default is httpx's own."""


class OutboundFailed(Unavailable):
    """The other side did not answer properly; its text stays here."""

    code = "upstream_failed"


class CertificateRefused(OutboundFailed):
    """The other side's certificate is not one for its name from an authority this machine trusts."""

    code = "upstream_certificate_refused"


class AnswerTooLarge(OutboundFailed):
    """More bytes came than were asked for."""

    code = "upstream_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, within the cap. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body comes in parts. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    _response: httpx.Response = field(repr=False)

    async def parts(self, size: int) -> AsyncIterator[bytes]:
        """The body in parts of so many bytes, the last one shorter; raises OutboundFailed where it breaks off."""
        try:
            async for part in _sized(self._response, size):
                yield part
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError) as failed:
            raise _kind(failed) from None

    async def answer(self, max_bytes: int) -> Answer:
        """The whole body after all, when it is small."""
        try:
            return await _read(self._response, max_bytes)
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError) as failed:
            raise _kind(failed) from None


def _direct(context: ssl.SSLContext, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False)


class Outbound:
    """Makes calls; one per process."""

    def __init__(self, resolver: Resolver | None = None, *, transport: Transport = _direct) -> None:
        self._resolver = resolver or Resolver()
        # Their lines hold whole URLs and headers: signatures of blobs, and tokens.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        kept = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=16)
        # A guarded call goes to a pinned address, and a pool knows connections by address alone: one that proved it
        # speaks for one name would be used for another name at the same address, whose certificate nobody checked.
        alone = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=0)
        self._guarded, self._internal = (_client(transport(context, limits)) for limits in (alone, kept))

    async def close(self) -> None:
        """Close connections."""
        await self._guarded.aclose()
        await self._internal.aclose()
        self._resolver.close()

    async def guarded(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = 15.0,
        max_bytes: int = MAX_BYTES,
        ports: frozenset[int] = HTTPS,
        plain_http: bool = False,
        content: bytes | None = None,
    ) -> Answer:
        """Call a tenant-influenced address: checked, pinned, with the name kept for TLS and Host.

        ``ports`` and ``plain_http`` are an operator's exemption. Raises Blocked, NameUnknown or Unavailable.
        """
        try:
            async with asyncio.timeout(deadline_s):
                request = await self._pinned(method, url, headers, ports, plain_http=plain_http, content=content)
                return await _send(self._guarded, request, max_bytes)
        except TimeoutError:
            raise OutboundFailed("The other side does not answer in time.") from None
        except httpx.InvalidURL:
            raise OutboundFailed("The other side does not answer.") from None

    async def _pinned(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        ports: frozenset[int],
        *,
        plain_http: bool,
        content: bytes | None = None,
    ) -> httpx.Request:
        target = await self._resolver.resolve(url, ports=ports, plain_http=plain_http)
        literal = f"[{target.address}]" if ":" in target.address else target.address
        pinned = f"{target.scheme}://{literal}:{target.port}{target.path}"
        own_port = 443 if target.scheme == "https" else 80
        host = target.host if target.port == own_port else f"{target.host}:{target.port}"
        return self._guarded.build_request(
            method,
            pinned,
            headers={**(headers or {}), "Host": host},
            extensions={"sni_hostname": target.host},
            content=content,
        )

    @asynccontextmanager
    async def guarded_stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ports: frozenset[int] = HTTPS,
        plain_http: bool = False,
    ) -> AsyncIterator[Stream]:
        """GET as ``guarded`` does, for a body of any size; only silence ends it, and the caller's own deadline."""
        try:
            request = await self._pinned("GET", url, headers, ports, plain_http=plain_http)
        except httpx.InvalidURL:
            raise OutboundFailed("The other side does not answer.") from None
        async with _streamed(self._guarded, request) as stream:
            yield stream

    @asynccontextmanager
    async def internal_stream(self, url: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[Stream]:
        """GET as ``internal`` does, for a body of any size; only silence ends it, and the caller's own deadline."""
        async with _streamed(
            self._internal, self._internal.build_request("GET", url, headers=dict(headers or {}))
        ) as s:
            yield s

    async def internal(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = 15.0,
        max_bytes: int = MAX_BYTES,
        content: bytes | None = None,
    ) -> Answer:
        """Call an address from an operator's settings; never with anything of a tenant in host or port."""
        try:
            async with asyncio.timeout(deadline_s):
                request = self._internal.build_request(method, url, headers=dict(headers or {}), content=content)
                return await _send(self._internal, request, max_bytes)
        except TimeoutError:
            raise OutboundFailed("The other side does not answer in time.") from None
        except httpx.InvalidURL:
            raise OutboundFailed("The other side does not answer.") from None


def _client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(10.0),
        # One host's cookies would go to the next at the same address, and a host could fill the jar without end.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # Decoding would let a few bytes become many before anybody counts them.
        headers={"Accept-Encoding": "identity", "User-Agent": "kovra"},
    )


async def _send(client: httpx.AsyncClient, request: httpx.Request, max_bytes: int) -> Answer:
    try:
        response = await client.send(request, stream=True)
        try:
            return await _read(response, max_bytes)
        finally:
            await response.aclose()
    except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError) as failed:
        if isinstance(failed, TimeoutError):
            raise
        raise _kind(failed) from None


@asynccontextmanager
async def _streamed(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[Stream]:
    try:
        response = await client.send(request, stream=True)
    except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError) as failed:
        raise _kind(failed) from None
    try:
        _refuse_encoded(response)
        yield Stream(response.status_code, dict(response.headers), response)
    finally:
        await response.aclose()


async def _sized(response: httpx.Response, size: int) -> AsyncIterator[bytes]:
    held = bytearray()
    async for chunk in response.aiter_raw():
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _refuse_encoded(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise OutboundFailed("The other side answers in an encoding nobody asked for.")


def _kind(failed: BaseException) -> OutboundFailed:
    cause: BaseException | None = failed
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateRefused("The other side's certificate is not trusted.")
        cause = cause.__cause__ or cause.__context__
    if isinstance(failed, httpx.TimeoutException):
        return OutboundFailed("The other side does not answer in time.")
    return OutboundFailed("The other side does not answer.")


async def _read(response: httpx.Response, max_bytes: int) -> Answer:
    _refuse_encoded(response)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise AnswerTooLarge("The answer is too large.")
    return Answer(status=response.status_code, headers=dict(response.headers), body=bytes(body))

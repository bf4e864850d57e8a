"""One client: no redirects, no environment proxies, TLS 1.2 or newer, a deadline over all, a cap on bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from kovra.foundation.errors import Unavailable
from kovra.foundation.outbound.targets import resolve

MAX_BYTES: Final = 4 * 1024 * 1024


class OutboundFailed(Unavailable):
    """The other side did not answer properly; its text stays here."""

    code = "upstream_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, cut to the cap."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Outbound:
    """Makes calls; one per process."""

    def __init__(self) -> None:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        self._client = httpx.AsyncClient(
            verify=context, trust_env=False, follow_redirects=False, limits=limits, timeout=httpx.Timeout(10.0)
        )

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def guarded(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = 15.0,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Call a tenant-influenced address: checked, pinned, with the name kept for TLS and Host."""
        target = await resolve(url)
        literal = f"[{target.address}]" if ":" in target.address else target.address
        pinned = f"https://{literal}:{target.port}{target.path}"
        named = {**(headers or {}), "Host": target.host if target.port == 443 else f"{target.host}:{target.port}"}
        return await self._send(method, pinned, named, deadline_s, max_bytes, sni=target.host)

    async def internal(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = 15.0,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Call an address from an operator's settings; never with anything of a tenant in host or port."""
        return await self._send(method, url, headers or {}, deadline_s, max_bytes, sni=None)

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], deadline_s: float, max_bytes: int, *, sni: str | None
    ) -> Answer:
        extensions = {"sni_hostname": sni} if sni else {}
        try:
            async with asyncio.timeout(deadline_s):
                request = self._client.build_request(method, url, headers=dict(headers), extensions=extensions)
                response = await self._client.send(request, stream=True)
                try:
                    return await _read(response, max_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, TimeoutError, OSError):
            raise OutboundFailed("The other side does not answer.") from None


async def _read(response: httpx.Response, max_bytes: int) -> Answer:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise OutboundFailed("The answer is too large.")
    return Answer(status=response.status_code, headers=dict(response.headers), body=bytes(body))

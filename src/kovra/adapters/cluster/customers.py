"""Clusters that belong to customers: reached at a checked address only, with credentials held in memory only.

The address is resolved and checked for each new connection, which then goes to the very address checked. Redirects and
proxies lead nowhere: a request for any other origin is not sent. Nothing such a cluster says is trusted further than
its owner is.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from kubernetes.aio import client as kubernetes

from kovra.adapters.cluster.access import PORTS, Access
from kovra.adapters.cluster.bounds import Bounds
from kovra.adapters.cluster.circuit import Circuit
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import ClusterConfigInvalid, TokenSource
from kovra.foundation.errors import KovraError
from kovra.foundation.keyring.values import SecretValue
from kovra.foundation.outbound.targets import Resolver

BOUNDS: Final = Bounds(timeout_s=8.0, tries=3, at_once=8, largest_bytes=8 * 2**20, largest_list_bytes=64 * 2**20)
"""A customer's cluster may be slow or hostile: it is given less of a worker than Kovra's own."""
_CONNECTIONS: Final = 448
"""Streams of logs hold one each."""

Reach = Callable[[str], Awaitable[tuple[str, int]]]
"""An https address → the checked address and port to connect to; raises Blocked, NameUnknown or Unavailable."""


@dataclass(frozen=True, slots=True)
class Reaching:
    """Reaches public API servers by the outbound rules."""

    resolver: Resolver
    ports: frozenset[int] = field(default=PORTS)

    async def __call__(self, server: str) -> tuple[str, int]:
        """Resolve, check and pin."""
        target = await self.resolver.resolve(server, ports=self.ports)
        return target.address, target.port


class _Pinned(AbstractResolver):
    """Resolves the one server, checking it each time."""

    def __init__(self, server: str, reach: Reach) -> None:
        self._server, self._host, self._reach = server, urlsplit(server).hostname, reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != self._host:
            raise OSError("not the cluster's host")
        try:
            address, to = await self._reach(self._server)
        except KovraError as refused:
            raise OSError(refused.error_code) from None
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        found = ResolveResult(hostname=host, host=address, port=to, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
        return [found]

    async def close(self) -> None:
        return None


def _only(server: str) -> Any:
    """Sees every request before it is sent, those after a redirect too."""
    parts = urlsplit(server)
    allowed = (parts.hostname, parts.port or 443)

    async def refuse(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        to = request.url
        if to.scheme not in ("https", "wss") or (to.host, to.port) != allowed:
            raise aiohttp.ClientConnectionError("the cluster leads elsewhere")
        answer: aiohttp.ClientResponse = await handler(request)
        return answer

    return refuse


def _context(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=access.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Authorities made by kubeadm and others lack extensions that the strict profile asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if access.certificate is not None and access.key is not None:
            _present(context, access.certificate, access.key)
    except (ssl.SSLError, ValueError, OSError):
        raise ClusterConfigInvalid("The certificates of the cluster cannot be read.") from None
    return context


def _present(context: ssl.SSLContext, certificate: str, key: SecretValue) -> None:
    """OpenSSL's binding reads files only: one that nobody else may read, and that is gone at once."""
    descriptor, path = tempfile.mkstemp(prefix="kovra-")  # 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{certificate}\n{key.reveal_text()}\n")
        context.load_cert_chain(path, password=lambda: "")
    finally:
        Path(path).unlink()


def customers_cluster(
    access: Access,
    reach: Reach,
    *,
    circuit: Circuit | None = None,
    tokens: TokenSource | None = None,
    may_write_secrets: bool = True,
    bounds: Bounds = BOUNDS,
) -> ClusterClient:
    """A client for a customer's cluster; ``tokens`` instead of a static token. Raises ClusterConfigInvalid."""
    configuration = kubernetes.Configuration()
    configuration.host = access.server
    configuration.proxy = None  # the constructor reads the environment
    if tokens is not None:
        source = tokens

        async def refresh(target: Any) -> None:
            target.api_key["BearerToken"] = await source.token()
            target.api_key_prefix["BearerToken"] = "Bearer"

        configuration.api_key["BearerToken"] = ""
        configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]  # the library types it as None
    elif access.token is not None:
        configuration.api_key["BearerToken"] = access.token.reveal_text()
        configuration.api_key_prefix["BearerToken"] = "Bearer"
    connector = aiohttp.TCPConnector(
        ssl=_context(access), resolver=_Pinned(access.server, reach), use_dns_cache=False, limit=_CONNECTIONS
    )
    configuration.client_session_kwargs = {
        "connector": connector,
        "trust_env": False,
        "middlewares": (_only(access.server),),
        "cookie_jar": aiohttp.DummyCookieJar(),
    }
    return ClusterClient(
        configuration, bounds=bounds, circuit=circuit, may_write_secrets=may_write_secrets, connector=connector
    )

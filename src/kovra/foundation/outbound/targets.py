"""Where a tenant's address may lead: https, a public name, and only public addresses behind it.

Python's ``is_global`` is not enough: it calls NAT64, 6to4 and Teredo forms of private addresses global, and multicast
too. A name that has any non-public address is refused whole; the connection then goes to the very address checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kovra.foundation.errors import Invalid, Unavailable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[[str, int], list[str]]
"""Name and port → addresses as text; blocks, and raises ``socket.gaierror`` as ``getaddrinfo`` does."""

HTTPS: Final = frozenset({443})
_REFUSED: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out of IPv6; loopback, NAT64, link-local, site-local and multicast lie outside of it."""
_LOCAL: Final = ("localhost", "local", "localdomain", "internal", "svc", "arpa")
"""Last labels that no public name has (RFC 6761, 6762, 8375; ``svc`` is Kubernetes')."""
_NO_SUCH: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_ANSWERS: Final = 32
_LOOKUPS: Final = 16
"""Look-ups at one time: ``getaddrinfo`` cannot be interrupted, and a slow name server must not hold other threads."""


class Blocked(Invalid):
    """The address is not one Kovra will call; says nothing of what it leads to."""

    code = "address_not_allowed"

    def __init__(self) -> None:
        super().__init__("This address cannot be used: it must be https, public and on port 443.")


class NameUnknown(Invalid):
    """The name servers say that there is no such name."""

    code = "name_unknown"

    def __init__(self) -> None:
        super().__init__("There is no such host name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """What this installation refuses besides everything that is not public."""

    names: frozenset[str] = frozenset()
    """The installation's own host names, refused with everything below them."""
    networks: tuple[Network, ...] = ()
    """Its own networks, where their addresses look public."""

    def name(self, host: str) -> bool:
        """Whether the host is one of ours."""
        labels = host.lower().split(".")
        return any(".".join(labels[i:]) in self.names for i in range(len(labels)))

    def address(self, address: str) -> bool:
        """Whether the address lies in a network of ours."""
        ip = ipaddress.ip_address(address)
        return any(ip.version == n.version and ip in n for n in self.networks)


NONE_OF_OURS: Final = Refusals()


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.scope_id is not None or ip not in _UNICAST:
            return False
    return ip.is_global and not any(ip.version == n.version and ip in n for n in _REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A checked URL: connect to ``address``, speak as ``host``."""

    scheme: str
    host: str
    port: int
    path: str
    address: str


def split(
    url: str, *, ports: frozenset[int] = HTTPS, plain_http: bool = False, refusals: Refusals = NONE_OF_OURS
) -> tuple[str, int, str]:
    """(host, port, path and query) of an https URL without anything tricky; raises Blocked."""
    if not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url) or len(url) > 4096:
        raise Blocked
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Blocked from None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ({"https", "http"} if plain_http else {"https"}) or "@" in parts.netloc or parts.fragment:
        raise Blocked
    if "[" in parts.netloc and ":" not in host:  # urlsplit takes RFC 3986's IPvFuture for a name
        raise Blocked
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port not in ports or not is_plausible(host) or refusals.name(host):
        raise Blocked
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def is_plausible(host: str) -> bool:
    """A dotted public name or a literal public address in its one usual form, before anything is resolved.

    Decimal, octal, hexadecimal and short forms of IPv4 addresses are no names.
    """
    try:
        return is_public(host)
    except ValueError:
        pass
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253 or not labels[-1][:1].isalpha() or labels[-1].lower() in _LOCAL:
        return False
    return all(0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum() for label in labels)


def look_up(host: str, port: int) -> list[str]:
    """By the system's resolver."""
    return [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Resolver:
    """Turns URLs into targets; one per process, with threads of its own."""

    def __init__(self, refusals: Refusals = NONE_OF_OURS, *, lookup: Lookup = look_up) -> None:
        self._refusals = refusals
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(max_workers=_LOOKUPS, thread_name_prefix="names")

    def close(self) -> None:
        """Let go of the threads; a look-up at work ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(
        self, url: str, *, ports: frozenset[int] = HTTPS, plain_http: bool = False, timeout_s: float = 5.0
    ) -> Target:
        """Resolve once, refuse if any answer is non-public, and pin the address.

        Raises Blocked, NameUnknown, or Unavailable when name servers do not answer in time.
        """
        host, port, path = split(url, ports=ports, plain_http=plain_http, refusals=self._refusals)
        addresses = await self._addresses(host, port, timeout_s)
        if not addresses or len(addresses) > _ANSWERS or not self._all_fine(addresses):
            raise Blocked
        return Target(scheme=urlsplit(url).scheme, host=host, port=port, path=path, address=addresses[0])

    def _all_fine(self, addresses: Iterable[str]) -> bool:
        return all(is_public(a) and not self._refusals.address(a) for a in addresses)

    async def _addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.run_in_executor(self._threads, self._lookup, host, port)
        except socket.gaierror as failed:
            if failed.errno in _NO_SUCH:
                raise NameUnknown from None
        except (OSError, UnicodeError, TimeoutError):
            pass
        raise Unavailable("The name cannot be resolved.", code="name_not_resolved")

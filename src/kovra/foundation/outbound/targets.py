"""Where a tenant's address may lead: https, a public name, and only public addresses behind it.

Python's ``is_global`` is not enough: it calls NAT64, 6to4 and Teredo forms of private addresses global, and multicast
too. A name that has any non-public address is refused whole; the connection then goes to the very address checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kovra.foundation.errors import Invalid, Unavailable

_REFUSED: Final = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32",
        "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_ANSWERS: Final = 32


class Blocked(Invalid):
    """The address is not one Kovra will call; says nothing of what it leads to."""

    code = "address_not_allowed"

    def __init__(self) -> None:
        super().__init__("This address cannot be used: it must be https, public and on port 443.")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_global and not any(ip.version == n.version and ip in n for n in _REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A checked URL: connect to ``address``, speak as ``host``."""

    scheme: str
    host: str
    port: int
    path: str
    address: str


def split(url: str, *, ports: frozenset[int]) -> tuple[str, int, str]:
    """(host, port, path and query) of an https URL without anything tricky; raises Blocked."""
    if not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url) or len(url) > 4096:
        raise Blocked
    try:
        parts = urlsplit(url)
        port = 443 if parts.port is None else parts.port
    except ValueError:
        raise Blocked from None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme != "https" or parts.username is not None or parts.password is not None or parts.fragment:
        raise Blocked
    if port not in ports or not _plausible(host):
        raise Blocked
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _plausible(host: str) -> bool:
    """A dotted name or a literal address in its one usual form; decimal, octal, hex and short IPv4 forms are no names."""
    try:
        return is_public(host)
    except ValueError:
        pass
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253 or not labels[-1][:1].isalpha():
        return False
    return all(0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum() for label in labels)


async def resolve(url: str, *, ports: frozenset[int] = frozenset({443}), timeout_s: float = 5.0) -> Target:
    """Resolve once, refuse if any answer is non-public, and pin the address; raises Blocked or Unavailable."""
    host, port, path = split(url, ports=ports)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise Unavailable("The name cannot be resolved.", code="name_not_resolved") from None
    addresses = [str(item[4][0]) for item in found]
    if not addresses or len(addresses) > _ANSWERS or not all(is_public(a.partition("%")[0]) for a in addresses):
        raise Blocked
    return Target(scheme="https", host=host, port=port, path=path, address=addresses[0])

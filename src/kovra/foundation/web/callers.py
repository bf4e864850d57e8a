"""Who a request counts as before it is known to be anybody: networks, and credentials that have proven to live."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address, ip_address


def network_of(address: str) -> str:
    """The address limits count by: an IPv4 address itself, of IPv6 the /64 that any one caller owns."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    return f"{int(parsed) >> 64:x}::/64" if isinstance(parsed, IPv6Address) else str(parsed)


def site_of(address: str) -> str | None:
    """Of IPv6 the /48 that one customer of a provider may own, with its 65,536 networks; else None."""
    parsed = _parsed(address)
    return f"{int(parsed) >> 80:x}::/48" if isinstance(parsed, IPv6Address) else None


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """What is not plain IPv4 or no address at all; IPv4 written as IPv6 is IPv4."""
    if ":" not in address:
        return None
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


class Proven:
    """Credentials that a transaction was opened with; bounded, the one seen longest ago is forgotten first.

    Anybody can write a well-formed api token, and each would have a full bucket of its own. Until one has been
    accepted, its requests count for their network as well.
    """

    def __init__(self, *, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, caller: bytes) -> bool:
        return caller in self._seen

    def add(self, caller: bytes) -> None:
        """It was accepted."""
        self._seen[caller] = None
        self._seen.move_to_end(caller)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    def discard(self, caller: bytes) -> None:
        """It has ended."""
        self._seen.pop(caller, None)

"""Who a request counts as before it is known to be anybody: networks, and credentials that have proven to live."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address


def network_of(address: str) -> str:
    """The address limits count by: an IPv4 address itself, of IPv6 the /64 that any one caller owns."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}::/64"


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

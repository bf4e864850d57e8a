"""How a customer's cluster is reached and proven; imports no client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kovra.foundation.keyring.values import SecretValue

PORTS: Final = frozenset({443, 6443, 8443})
"""Where API servers listen; any other port is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a cluster is reached and proven, in the clear; lives in the worker's memory alone."""

    server: str
    """``https://host[:port]``, without a path."""
    authority: str | None
    """PEM; None: authorities this machine trusts."""
    token: SecretValue | None = None
    certificate: str | None = None
    """PEM of a client certificate; ``key`` belongs to it."""
    key: SecretValue | None = None

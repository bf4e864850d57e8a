"""Throttling of logins and sign-ups across all replicas: token buckets in an unlogged table, keyed by digests.

An account is throttled together with the caller's network, so a stranger cannot lock the owner out; a network alone
has a wider bucket, against one caller trying many accounts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from kovra.foundation.db.database import Database
from kovra.foundation.errors import RateLimited
from kovra.foundation.web.callers import network_of


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds until a token is there; zero when one was taken."""

    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginThrottleOptions:
    """How many tries per account and network, per network, and how many sign-ups per network."""

    per_account: int = 10
    per_network: int = 60
    sign_ups: int = 20
    window_s: float = 300.0


class LoginThrottle:
    """Asks the database, which all replicas share; when it is away, logins are refused with it (503)."""

    def __init__(self, database: Database, options: LoginThrottleOptions) -> None:
        self._database = database
        self._options = options

    async def login(self, account: str, address: str) -> None:
        """Before a password is hashed; raises RateLimited."""
        network = network_of(address)
        await self._take(f"login:{account}:{network}", self._options.per_account)
        await self._take(f"login-network:{network}", self._options.per_network)

    async def sign_up(self, address: str) -> None:
        """Before an account is made; raises RateLimited."""
        await self._take(f"sign-up:{network_of(address)}", self._options.sign_ups)

    async def _take(self, key: str, burst: int) -> None:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        taken = await self._database.door("take_token", Taken, digest, burst, self._options.window_s)
        if taken[0].wait_s > 0:
            raise RateLimited("Too many tries; wait a little.", retry_after_s=taken[0].wait_s)

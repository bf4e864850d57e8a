"""Throttling of logins and sign-ups across all replicas: token buckets in an unlogged table, keyed by digests.

An account is throttled together with the caller's network, and for all networks it was never logged in from together:
many strangers guessing at one account wait, its owner at a known place does not. A network alone has a wider bucket,
against one caller trying many accounts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from kovra.foundation.db.database import Database
from kovra.foundation.errors import RateLimited
from kovra.foundation.web.callers import network_of, site_of


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds until a token is there; zero when one was taken."""

    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginThrottleOptions:
    """How many tries at once, refilled evenly over ``window_s`` seconds."""

    per_account: int = 10
    """Of one account from one network."""
    per_stranger: int = 30
    """Of one account from all networks it was never logged in from."""
    per_network: int = 60
    """Of any account from one network."""
    per_site: int = 240
    """Of any account from all networks of an IPv6 /48."""
    sign_ups: int = 20
    """From one network."""
    site_sign_ups: int = 80
    """From all networks of an IPv6 /48."""
    window_s: float = 300.0


class LoginThrottle:
    """Asks the database, which all replicas share; when it is away, logins are refused with it (503)."""

    def __init__(self, database: Database, options: LoginThrottleOptions) -> None:
        self._database = database
        self._options = options

    async def login(self, account: str, address: str, *, known_network: bool) -> None:
        """Before a password is hashed; raises RateLimited. Unknown accounts are throttled like known ones."""
        network = network_of(address)
        await self._take(f"login:{account}:{network}", self._options.per_account)
        await self._take(f"login-network:{network}", self._options.per_network)
        if site := site_of(address):
            await self._take(f"login-site:{site}", self._options.per_site)
        if not known_network:
            await self._take(f"login-stranger:{account}", self._options.per_stranger)

    async def password(self, user_id: UUID) -> None:
        """Before the present password is asked for again: whoever has found an open login may not guess at it."""
        await self._take(f"password:{user_id}", self._options.per_account)

    async def sign_up(self, address: str) -> None:
        """Before an account is made; raises RateLimited."""
        await self._take(f"sign-up:{network_of(address)}", self._options.sign_ups)
        if site := site_of(address):
            await self._take(f"sign-up-site:{site}", self._options.site_sign_ups)

    async def _take(self, key: str, burst: int) -> None:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        taken = await self._database.door("take_token", Taken, digest, burst, self._options.window_s)
        if taken[0].wait_s > 0:
            raise RateLimited("Too many tries; wait a little.", retry_after_s=taken[0].wait_s)

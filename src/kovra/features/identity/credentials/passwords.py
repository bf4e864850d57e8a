"""Passwords: how they are hashed, by a bounded pool of threads that sheds what it cannot do soon."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import bcrypt

from kovra.foundation.errors import Unavailable
from kovra.foundation.observability import PASSWORD_HASHES, PASSWORDS_SHED

WAITING_PER_THREAD: Final = 8
"""At cost 12 a hash takes about 0.4 s, so who waits longest waits some four seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordOptions:
    """How passwords are hashed."""

    pepper: bytes = field(repr=False)
    """At least 32 random bytes, kept apart from the database."""
    cost: int = 12
    """bcrypt's work factor, at least 12 in production; a login rehashes when it has risen."""
    threads: int = field(default_factory=lambda: max(1, (os.cpu_count() or 2) - 1))
    """How many hash at once; bcrypt releases the interpreter's lock. One core is left to the event loop."""
    waiting: int | None = None
    """How many may be hashed or wait for it; more answer 503. None: eight for each thread."""


class Passwords:
    """bcrypt over base64(HMAC-SHA-384(pepper, password)): 64 bytes, below bcrypt's limit of 72, nothing truncated.

    Passwords are taken exactly as received: not trimmed, not normalised (ASVS 6.2.8).
    """

    def __init__(self, options: PasswordOptions) -> None:
        self._options = options
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="bcrypt")
        self._most = options.waiting or WAITING_PER_THREAD * options.threads
        self._waiting = 0
        self._dummy = bcrypt.hashpw(self._prepare(os.urandom(16).hex()), bcrypt.gensalt(options.cost))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The stored form; raises Unavailable when too many are waiting."""
        made = await self._run("storing", bcrypt.hashpw, self._prepare(password), bcrypt.gensalt(self._options.cost))
        return str(made, "ascii")

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is right; an unknown account (None) costs the same as a wrong password."""
        known = stored.encode() if stored else self._dummy
        try:
            right = bool(await self._run("checking", bcrypt.checkpw, self._prepare(password), known))
        except ValueError:  # a malformed hash in the database is a failure, not a crash
            return False
        return right and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether the cost has risen since it was stored."""
        parts = stored.split("$")
        return len(parts) < 3 or not parts[2].isdigit() or int(parts[2]) < self._options.cost

    def _prepare(self, password: str) -> bytes:
        return base64.b64encode(
            hmac.digest(self._options.pepper, password.encode("utf-8", "surrogatepass"), hashlib.sha384)
        )

    async def _run(self, why: str, function: Any, *arguments: Any) -> Any:
        if self._waiting >= self._most:
            PASSWORDS_SHED.inc()
            raise Unavailable("Too many logins at once.", code="overloaded", retry_after_s=2)
        self._waiting += 1
        try:
            PASSWORD_HASHES.labels(why).inc()
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._waiting -= 1
